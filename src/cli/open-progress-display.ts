/** Which form progress takes: a bar for people, lines for logs, JSON for programs, or nothing. */

import { jsonLine } from './json.ts';
import type { ProgressDisplay, ProgressMode, Terminal } from './progress-display.ts';

/** No progress; warnings as they are asked for. */
class WarningsOnly implements ProgressDisplay {
  readonly #warn: (message: string) => void;
  constructor(warn: (message: string) => void) {
    this.#warn = warn;
  }
  update(): void {}
  warn(message: string): void {
    this.#warn(message);
  }
  clear(): void {}
}

export interface DisplayOptions {
  mode: ProgressMode;
  /** Neither progress nor warnings. */
  quiet: boolean;
  /** stderr holds JSON only. */
  json: boolean;
}

/** `auto`: a bar on a terminal; otherwise lines, or with --json nothing, so that stderr can be parsed. */
export async function openProgressDisplay(
  terminal: Terminal,
  { mode, quiet, json }: DisplayOptions,
): Promise<ProgressDisplay> {
  if (quiet) return new WarningsOnly(() => {});
  switch (mode === 'auto' ? (terminal.isTerminal ? 'bar' : json ? 'none' : 'plain') : mode) {
    case 'bar':
      return new (await import('./progress-bar.ts')).ProgressBar(terminal);
    case 'plain':
      return new (await import('./progress-plain.ts')).ProgressLines(terminal);
    case 'json':
      return new (await import('./progress-json.ts')).ProgressEvents(terminal);
    default: {
      if (json) return new WarningsOnly((message) => terminal.write(jsonLine({ warning: { message } })));
      const { ProgressLines } = await import('./progress-plain.ts');
      const lines = new ProgressLines(terminal);
      return new WarningsOnly((message) => lines.warn(message));
    }
  }
}
