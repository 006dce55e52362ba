/** What shows progress and warnings, and where. */

import type { Progress } from '../progress.ts';
import type { Painter } from './terminal.ts';

export const PROGRESS_MODES = ['auto', 'bar', 'plain', 'json', 'none'] as const;
export type ProgressMode = (typeof PROGRESS_MODES)[number];

/** Where progress is written: stderr, or a test's stand-in for one. */
export interface Terminal {
  readonly isTerminal: boolean;
  columns(): number;
  write(text: string): void;
  readonly paint: Painter;
}

export interface ProgressDisplay extends Progress {
  /** Nothing is left half-written: before any other output and at the end. */
  clear(): void;
}
