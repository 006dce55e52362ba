/** Taking away all objects but those that stay. */

export interface SweptObjects {
  kept: number;
  removed: number;
  removedBytes: number;
  /** What is no object, or no regular file: paths relative to `objects/`. It stays. */
  others: string[];
}

export interface ObjectSweep {
  /** @param ids raw digests, concatenated */
  keep(ids: Uint8Array): void;
  /** Begins to read the directories, where that is done on other threads: for whoever still has to find out what stays. */
  readAhead(): void;
  /**
   * Goes through `count` of the directories `00` … `ff`, beginning with number `first`. Those that are missing, or something else, are
   * passed over.
   * @param options.remove otherwise things are only counted
   * @throws the first failure of a removal
   */
  sweep(first: number, count: number, options: { remove: boolean }): Promise<SweptObjects>;
}

/** Directories below `objects/`, one for each first byte. */
export const FANOUTS = 256;
