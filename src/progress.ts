/** What an operation says while it works. Operations emit, the command line draws. */

export interface ProgressEvent {
  /** Stable word, e.g. `metadata`, `files`, `barrier`, `image`, `mark`, `sweep`, `check`. */
  phase: string;
  /** Objects (or entries) done and, as far as known, in all. */
  done: number;
  total?: number;
  bytesDone?: number;
  bytesTotal?: number;
}

export interface Progress {
  /** Cheap to call for every object: the receiver decides how often to draw. */
  update(event: ProgressEvent): void;
  /** Something that the user should read, once; the work goes on. */
  warn(message: string): void;
}

export const silentProgress: Progress = { update() {}, warn() {} };
