/** How fast, and how long still: measured over the last seconds, so that a stall shows. */

import type { ProgressEvent } from '../progress.ts';

const WINDOW_MS = 10_000;
const SAMPLE_EVERY_MS = 250;
/** Before this the rate is noise. */
const MIN_SPAN_MS = 1_000;

interface Sample {
  timeMs: number;
  done: number;
  bytesDone: number;
}

export interface Pace {
  bytesPerSecond?: number;
  objectsPerSecond?: number;
  leftMs?: number;
}

/** Follows one phase. */
export class PaceMeter {
  #samples: Sample[] = [];

  sample(timeMs: number, { done, bytesDone = 0 }: ProgressEvent): void {
    const last = this.#samples.at(-1);
    if (last !== undefined && timeMs - last.timeMs < SAMPLE_EVERY_MS) return;
    this.#samples.push({ timeMs, done, bytesDone });
    while (this.#samples.length > 2 && timeMs - this.#samples[1].timeMs > WINDOW_MS) this.#samples.shift();
  }

  pace(timeMs: number, { done, total, bytesDone, bytesTotal }: ProgressEvent): Pace {
    const first = this.#samples[0];
    const spanMs = first === undefined ? 0 : timeMs - first.timeMs;
    if (first === undefined || spanMs < MIN_SPAN_MS) return {};
    const objectsPerSecond = ((done - first.done) * 1000) / spanMs;
    const bytesPerSecond = bytesDone === undefined ? undefined : ((bytesDone - first.bytesDone) * 1000) / spanMs;
    const left =
      bytesTotal !== undefined && bytesDone !== undefined && bytesPerSecond
        ? (bytesTotal - bytesDone) / bytesPerSecond
        : total !== undefined && objectsPerSecond > 0
          ? (total - done) / objectsPerSecond
          : undefined;
    return {
      objectsPerSecond,
      ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
      ...(left === undefined ? {} : { leftMs: left * 1000 }),
    };
  }
}
