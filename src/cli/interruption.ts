/** INT, TERM and HUP: the first asks the running operation to wind down, the next one ends the program at once. */

import { constants } from 'node:os';
import { monotonicMs } from '../monotonic-time.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Two signals within this time are one: a terminal signals the whole process group, and a parent such as npm passes the same
 * one on.
 */
const SAME_SIGNAL_MS = 300;

/** Why an operation was asked to stop. */
export class InterruptedError extends Error {
  readonly code = 'CFS_INTERRUPTED';
  readonly exitCode: number;
  constructor(signal: NodeJS.Signals) {
    super(`interrupted by ${signal}`);
    this.name = 'InterruptedError';
    this.exitCode = 128 + constants.signals[signal];
  }
}

export class Interruption {
  readonly #controller = new AbortController();

  /** Aborted with an InterruptedError. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get reason(): InterruptedError | undefined {
    return this.signal.aborted ? this.signal.reason : undefined;
  }

  /** @param onFirst tells the user that the program is stopping */
  listen(onFirst: () => void): void {
    let firstMs: number | undefined;
    for (const name of SIGNALS)
      process.on(name, () => {
        const nowMs = monotonicMs();
        if (firstMs === undefined) {
          firstMs = nowMs;
          this.#controller.abort(new InterruptedError(name));
          onFirst();
        } else if (nowMs - firstMs > SAME_SIGNAL_MS) process.exit(new InterruptedError(name).exitCode);
      });
  }
}
