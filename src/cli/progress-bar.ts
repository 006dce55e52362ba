/** A line at the bottom of the terminal that is redrawn in place. */

import { monotonicMs } from '../monotonic-time.ts';
import type { ProgressEvent } from '../progress.ts';
import type { ProgressDisplay, Terminal } from './progress-display.ts';
import { progressLine } from './progress-line.ts';
import { PaceMeter } from './progress-rate.ts';
import { shownText } from './shown-text.ts';

const REDRAW_MS = 100;
const BAR_CHARACTERS = 20;
const ERASE_LINE = '\r\x1b[K';

export class ProgressBar implements ProgressDisplay {
  readonly #terminal: Terminal;
  #meter = new PaceMeter();
  #phase: string | undefined;
  #drawnMs = -Infinity;
  #isDrawn = false;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  update(event: ProgressEvent): void {
    const nowMs = monotonicMs();
    const isNewPhase = event.phase !== this.#phase;
    if (isNewPhase) {
      this.#phase = event.phase;
      this.#meter = new PaceMeter();
    }
    this.#meter.sample(nowMs, event);
    if (!isNewPhase && nowMs - this.#drawnMs < REDRAW_MS) return;
    this.#drawnMs = nowMs;
    this.#draw(event, nowMs);
  }

  warn(message: string): void {
    this.clear();
    this.#terminal.write(`${this.#terminal.paint('yellow', 'warning:')} ${shownText(message)}\n`);
    this.#drawnMs = -Infinity; // the bar comes back with the next event
  }

  clear(): void {
    if (this.#isDrawn) this.#terminal.write(ERASE_LINE);
    this.#isDrawn = false;
  }

  #draw(event: ProgressEvent, nowMs: number): void {
    const words = progressLine(event, this.#meter.pace(nowMs, event));
    const bar = this.#bar(event);
    // One column stays free: some terminals wrap when the last one is written.
    const width = Math.max(this.#terminal.columns() - 1, 20);
    const roomForBar = words.length + bar.length + 2 <= width;
    const line = roomForBar && bar !== '' ? `${this.#terminal.paint('green', bar)}  ${words}` : words.slice(0, width);
    this.#terminal.write(ERASE_LINE + line);
    this.#isDrawn = true;
  }

  #bar({ done, total, bytesDone, bytesTotal }: ProgressEvent): string {
    const fraction = bytesTotal ? (bytesDone ?? 0) / bytesTotal : total ? done / total : undefined;
    if (fraction === undefined) return '';
    const filled = Math.round(Math.min(Math.max(fraction, 0), 1) * BAR_CHARACTERS);
    return `[${'='.repeat(filled)}${' '.repeat(BAR_CHARACTERS - filled)}]`;
  }
}
