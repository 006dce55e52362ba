/** One JSON object for each line on stderr. Fields: doc/json.md. */

import { monotonicMs } from '../monotonic-time.ts';
import type { ProgressEvent } from '../progress.ts';
import { jsonLine } from './json.ts';
import type { ProgressDisplay, Terminal } from './progress-display.ts';

const EVENT_EVERY_MS = 200;

export class ProgressEvents implements ProgressDisplay {
  readonly #terminal: Terminal;
  readonly #startMs = monotonicMs();
  #phase: string | undefined;
  #writtenMs = -Infinity;
  /** The latest event of the phase, as long as it was not written. */
  #held: ProgressEvent | undefined;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  update(event: ProgressEvent): void {
    const nowMs = monotonicMs();
    if (event.phase !== this.#phase) {
      this.clear(); // the end of the phase before
      this.#phase = event.phase;
    } else if (nowMs - this.#writtenMs < EVENT_EVERY_MS) {
      this.#held = event;
      return;
    }
    this.#write(event, nowMs);
  }

  warn(message: string): void {
    this.#terminal.write(jsonLine({ warning: { message } }));
  }

  clear(): void {
    if (this.#held !== undefined) this.#write(this.#held, monotonicMs());
  }

  #write({ phase, done, total, bytesDone, bytesTotal }: ProgressEvent, nowMs: number): void {
    this.#held = undefined;
    this.#writtenMs = nowMs;
    const elapsedMs = Math.round(nowMs - this.#startMs);
    this.#terminal.write(jsonLine({ progress: { phase, done, total, bytesDone, bytesTotal, elapsedMs } }));
  }
}
