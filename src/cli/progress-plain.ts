/** A line every few seconds, for logs. Short work is silent. */

import { monotonicMs } from '../monotonic-time.ts';
import type { ProgressEvent } from '../progress.ts';
import type { ProgressDisplay, Terminal } from './progress-display.ts';
import { progressLine } from './progress-line.ts';
import { PaceMeter } from './progress-rate.ts';
import { shownText } from './shown-text.ts';

export const LINE_EVERY_MS = 5_000;

export class ProgressLines implements ProgressDisplay {
  readonly #terminal: Terminal;
  readonly #everyMs: number;
  #meter = new PaceMeter();
  #phase: string | undefined;
  #writtenMs = monotonicMs();

  constructor(terminal: Terminal, everyMs = LINE_EVERY_MS) {
    this.#terminal = terminal;
    this.#everyMs = everyMs;
  }

  update(event: ProgressEvent): void {
    const nowMs = monotonicMs();
    if (event.phase !== this.#phase) {
      this.#phase = event.phase;
      this.#meter = new PaceMeter();
    }
    this.#meter.sample(nowMs, event);
    if (nowMs - this.#writtenMs < this.#everyMs) return;
    this.#writtenMs = nowMs;
    this.#terminal.write(`${progressLine(event, this.#meter.pace(nowMs, event))}\n`);
  }

  warn(message: string): void {
    this.#terminal.write(`${this.#terminal.paint('yellow', 'warning:')} ${shownText(message)}\n`);
  }

  clear(): void {}
}
