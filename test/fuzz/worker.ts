/** One target in a process of its own: `run.ts` starts it, watches it, and is told about failures. */

import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { CfsError } from '../../src/errors.ts';
import { makeRandom } from '../native/archive-object.ts';
import { Coverage } from './coverage.ts';
import { Mutator } from './mutate.ts';
import { type FuzzTarget, MAX_INPUT_MS, MAX_RSS_BYTES } from './target.ts';
import { loadTarget } from './targets.ts';

export interface WorkerOptions {
  module: string;
  target: string;
  /** What is being read stands here, for whoever finds us dead: 8 bytes serial number, 8 bytes length, the input. */
  currentPath: string;
  seconds: number;
  seed: number;
  /** Only this file is read, once, to see whether it takes too much memory. */
  onlyInput?: string;
}

export type WorkerMessage =
  | { kind: 'done'; report: WorkerReport }
  /** `isMemory`: the process has grown too large, which need not be the last input's fault. */
  | { kind: 'failure'; problem: string; input: string; isMemory: boolean; report: WorkerReport };

export interface WorkerReport {
  runs: number;
  /** Inputs worth keeping, seeds included. */
  corpus: number;
  /** Characters of source reached. */
  reached: number;
}

/** Inputs are run together for so many times as long as a look at the coverage takes: about a millisecond. */
const RUN_SHARE = 6;
/** A slow input counts when it is slow each time. */
const SLOW_TRIES = 3;
const SHRINK_MS = 5000;
const MAX_REFUSALS = 200;
/** What a message quotes from its input. */
const VARYING = /"(?:[^"\\]|\\.)*"|[0-9a-f]{2,}|-?\d+/g;
/** What takes no longer has not touched much memory. */
const HARMLESS_MS = 2;

interface Failure {
  problem: string;
  /** What failures of the same cause have in common. */
  signature: string;
  isMemory?: true;
}

class Worker {
  readonly #target: FuzzTarget;
  readonly #options: WorkerOptions;
  readonly #current: number;
  readonly #header = new BigUint64Array(2);
  readonly #corpus: Uint8Array[] = [];
  readonly #coverage: Coverage;
  /** Ways to refuse an input, as far as their wording tells them apart. */
  readonly #refusals = new Set<string>();
  #runs = 0;
  #lookMs = 1;

  constructor(target: FuzzTarget, coverage: Coverage, options: WorkerOptions) {
    this.#target = target;
    this.#coverage = coverage;
    this.#options = options;
    this.#current = openSync(options.currentPath, 'w');
  }

  async run(): Promise<WorkerMessage> {
    const { seconds, seed, onlyInput } = this.#options;
    if (onlyInput !== undefined) return this.#all([new Uint8Array(readFileSync(onlyInput))]);
    const fromSeeds = await this.#all(this.#target.seeds);
    if (fromSeeds.kind === 'failure') return fromSeeds;
    for (const input of this.#target.seeds) await this.#read(input).catch(() => {});
    this.#coverage.take();
    this.#corpus.push(...this.#target.seeds);
    const mutator = new Mutator(makeRandom(seed), this.#corpus);
    for (const end = performance.now() + 1000 * seconds; performance.now() < end; ) {
      const start = performance.now();
      const batch: Uint8Array[] = [];
      do {
        const input = mutator.next();
        batch.push(input);
        const failure = await this.#try(input);
        if (failure !== undefined) return this.#failed(failure, input);
      } while (performance.now() - start < RUN_SHARE * this.#lookMs);
      if (this.#look()) await this.#keepNew(batch);
    }
    closeSync(this.#current);
    return { kind: 'done', report: this.#report() };
  }

  async #all(inputs: Uint8Array[]): Promise<WorkerMessage> {
    for (const input of inputs) {
      const failure = await this.#try(input);
      if (failure !== undefined) return this.#failed(failure, input);
    }
    return { kind: 'done', report: this.#report() };
  }

  #look(): boolean {
    const start = performance.now();
    const isNew = this.#coverage.peek();
    this.#lookMs = 0.9 * this.#lookMs + 0.1 * (performance.now() - start);
    return isNew;
  }

  /** Finds the inputs that reach something new by reading them again, half by half. */
  async #keepNew(inputs: Uint8Array[]): Promise<void> {
    if (inputs.length > 1) {
      const middle = inputs.length >> 1;
      for (const half of [inputs.slice(0, middle), inputs.slice(middle)]) {
        for (const input of half) await this.#read(input).catch(() => {});
        if (this.#look()) await this.#keepNew(half);
      }
    } else {
      await this.#read(inputs[0]).catch(() => {});
      if (this.#coverage.take()) this.#corpus.push(inputs[0]);
    }
  }

  async #try(input: Uint8Array): Promise<Failure | undefined> {
    for (let attempt = 1; ; attempt++) {
      this.#announce(input);
      const start = performance.now();
      this.#runs++;
      try {
        await this.#read(input);
      } catch (error) {
        if (!(error instanceof CfsError)) return describe(error);
        this.#keepIfRefusedAnew(error, input);
      }
      const tookMs = performance.now() - start;
      const peakBytes = tookMs > HARMLESS_MS ? process.resourceUsage().maxRSS * 1024 : 0;
      if (peakBytes > MAX_RSS_BYTES)
        return { problem: `the process has ${peakBytes} bytes of memory`, signature: 'memory', isMemory: true };
      if (tookMs <= MAX_INPUT_MS) return undefined;
      if (attempt === SLOW_TRIES) return { problem: `takes ${Math.round(tookMs)} ms`, signature: 'slow' };
    }
  }

  /** Blocks of code say little about parsers that are driven by tables: a refusal in other words is worth keeping, too. */
  #keepIfRefusedAnew({ code, message }: CfsError, input: Uint8Array): void {
    if (this.#refusals.size >= MAX_REFUSALS) return;
    const before = this.#refusals.size;
    this.#refusals.add(`${code} ${message.replace(VARYING, '')}`);
    if (this.#refusals.size > before) this.#corpus.push(input);
  }

  /** Each time a copy: what a reader does to its input must not reach the corpus. */
  async #read(input: Uint8Array): Promise<void> {
    await this.#target.parse(input.slice());
  }

  #announce(input: Uint8Array): void {
    this.#header[0]++;
    this.#header[1] = BigInt(input.length);
    writeSync(this.#current, this.#header, 0, 16, 0);
    writeSync(this.#current, input, 0, input.length, 16);
  }

  async #failed({ problem, signature, isMemory }: Failure, input: Uint8Array): Promise<WorkerMessage> {
    const small = signature === 'memory' || signature === 'slow' ? input : await this.#shrink(input, signature);
    return {
      kind: 'failure',
      problem,
      input: Buffer.from(small).toString('base64'),
      isMemory: isMemory ?? false,
      report: this.#report(),
    };
  }

  /** Leaves out pieces, ever smaller ones, as long as the failure stays the same. */
  async #shrink(input: Uint8Array, signature: string): Promise<Uint8Array> {
    let small = input;
    const end = performance.now() + SHRINK_MS;
    for (let piece = small.length >> 1; piece >= 1; piece >>= 1)
      for (let at = 0; at + piece <= small.length && performance.now() < end; ) {
        const shorter = new Uint8Array(small.length - piece);
        shorter.set(small.subarray(0, at));
        shorter.set(small.subarray(at + piece), at);
        if ((await this.#try(shorter))?.signature === signature) small = shorter;
        else at += piece;
      }
    return small;
  }

  #report(): WorkerReport {
    return { runs: this.#runs, corpus: this.#corpus.length, reached: this.#coverage.characters };
  }
}

function describe(error: unknown): Failure {
  if (!(error instanceof Error)) return { problem: `throws ${String(error)}`, signature: 'no error' };
  const problem = causes(error)
    .map((one) => one.stack ?? String(one))
    .join('\ncaused by ');
  const last = causes(error).at(-1) as Error;
  return { problem, signature: `${last.name} ${/\(?(\S+:\d+:\d+)\)?/.exec(last.stack ?? '')?.[1]}` };
}

const causes = (error: Error): Error[] => (error.cause instanceof Error ? [error, ...causes(error.cause)] : [error]);

const options = JSON.parse(process.argv[2]) as WorkerOptions;
const coverage = new Coverage();
coverage.start(); // first: what is compiled before has no counters
const message = await new Worker(await loadTarget(options.module, options.target), coverage, options).run();
process.send?.(message, () => process.exit());
