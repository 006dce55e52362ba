/** stderr as progress and warnings are written to it. Node's stream is made when that matters: it brings much else along. */

import { fstatSync } from 'node:fs';
import type { Terminal } from './progress-display.ts';
import { type ColorMode, type Painter, painter, wantsColor } from './terminal.ts';

const STDERR = 2;

export class StderrTerminal implements Terminal {
  readonly #color: ColorMode;
  #painter: Painter | undefined;

  constructor(color: ColorMode) {
    this.#color = color;
  }

  get isTerminal(): boolean {
    return fstatSync(STDERR).isCharacterDevice() && process.stderr.isTTY === true;
  }
  columns(): number {
    return process.stderr.columns || 80; // a terminal that does not know its size says 0
  }
  write(text: string): void {
    process.stderr.write(text);
  }
  get paint(): Painter {
    this.#painter ??= painter(wantsColor(this.#color, process.stderr, process.env));
    return this.#painter;
  }
}
