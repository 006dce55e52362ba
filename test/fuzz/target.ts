/** What a fuzz run feeds: one reader of bytes that strangers may have written. */

export interface FuzzTarget {
  /** Unique; its saved inputs lie in `seeds/<name>/`. */
  name: string;
  /** Must return or throw a CfsError, within `MAX_INPUT_MS` and `MAX_RSS_BYTES`; anything else is a failure. */
  parse(bytes: Uint8Array): void | Promise<void>;
  /** Valid inputs and interesting bad ones, to start from. */
  seeds: Uint8Array[];
}

/** Wall clock; a slower input is tried again before it counts, because the machine has other work. */
export const MAX_INPUT_MS = 2000;
/** Resident memory of a process that has read one input. */
export const MAX_RSS_BYTES = 512 << 20;
/** Mutations do not make longer inputs than this. */
export const MAX_INPUT_BYTES = 1 << 16;
