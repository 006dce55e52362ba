/** Which code of ours an input has reached, as V8 counts it block by block. */

import type { Profiler } from 'node:inspector';
import { Session } from 'node:inspector';

/** Code whose new parts make an input worth keeping. */
const IS_OURS = /\/(?:src\/.*|test\/fuzz\/planted)\.ts$/;

export class Coverage {
  readonly #session = new Session();
  /** By script: for each character of it, whether it was ever reached. */
  readonly #reached = new Map<string, Uint8Array>();
  /** Scratch: the same for one taking. */
  readonly #now = new Map<string, Uint8Array>();
  characters = 0;

  start(): void {
    this.#session.connect();
    this.#post('Profiler.enable');
    this.#post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** Whether what ran since the last call reached anything new, which then counts as reached. */
  take(): boolean {
    const before = this.characters;
    for (const { url, functions } of this.#read()) this.#add(url, functions);
    return this.characters > before;
  }

  /** Whether what ran since the last call reached anything new; nothing is remembered. */
  peek(): boolean {
    return this.#read().some(({ url, functions }) => {
      const { now, reached } = this.#paint(url, functions);
      return outermost(functions).some(({ startOffset, endOffset }) => {
        for (let i = startOffset; i < endOffset; i++) if (now[i] === 1 && reached[i] === 0) return true;
        return false;
      });
    });
  }

  #add(url: string, functions: Profiler.FunctionCoverage[]): void {
    const { now, reached } = this.#paint(url, functions);
    for (const { startOffset, endOffset } of outermost(functions))
      for (let i = startOffset; i < endOffset; i++)
        if (now[i] === 1 && reached[i] === 0) {
          reached[i] = 1;
          this.characters++;
        }
  }

  /** Ranges come from the outside in, functions and blocks alike: the last one to cover a character is right about it. */
  #paint(url: string, functions: Profiler.FunctionCoverage[]): { now: Uint8Array; reached: Uint8Array } {
    const end = Math.max(...functions.map(({ ranges }) => ranges[0].endOffset));
    const now = grown(this.#now, url, end);
    const reached = grown(this.#reached, url, end);
    for (const { ranges } of functions)
      for (const { startOffset, endOffset, count } of ranges) now.fill(count > 0 ? 1 : 0, startOffset, endOffset);
    return { now, reached };
  }

  #read(): Profiler.ScriptCoverage[] {
    const { result } = this.#post('Profiler.takePreciseCoverage') as Profiler.TakePreciseCoverageReturnType;
    return result.filter(({ url, functions }) => IS_OURS.test(url) && functions.length > 0);
  }

  /** The session of one's own thread answers before `post` returns. */
  #post(method: string, parameters?: object): unknown {
    let answer: unknown;
    this.#session.post(method, parameters, (error, result) => {
      if (error !== null) throw error;
      answer = result;
    });
    return answer;
  }
}

/** The functions that lie in no other function of the list, as ranges. */
function outermost(functions: Profiler.FunctionCoverage[]): Profiler.CoverageRange[] {
  const found: Profiler.CoverageRange[] = [];
  for (const { ranges } of functions)
    if (ranges[0].startOffset >= (found.at(-1)?.endOffset ?? 0)) found.push(ranges[0]);
  return found;
}

function grown(maps: Map<string, Uint8Array>, url: string, length: number): Uint8Array {
  const old = maps.get(url);
  if (old !== undefined && old.length >= length) return old;
  const map = new Uint8Array(length);
  if (old !== undefined) map.set(old);
  maps.set(url, map);
  return map;
}
