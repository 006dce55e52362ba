/** What a command works with: the repository asked for, stdout, progress, the signal to stop, the exit status. */

import { ExitCode, UsageError } from '../errors.ts';
import type { Progress } from '../progress.ts';
import type { LockMode } from '../store/lock.ts';
import type { Repository } from '../store/repository.ts';
import type { OutputKind } from './command.ts';
import { Interruption } from './interruption.ts';
import { type Fields, jsonArray, jsonDocument, jsonLine, pickFields } from './json.ts';
import { keepYoungGenerationSmall } from './memory.ts';
import { openProgressDisplay } from './open-progress-display.ts';
import { Output } from './output.ts';
import type { ProgressDisplay, ProgressMode } from './progress-display.ts';
import { type RepositoryChoice, repositoryPath } from './repository-path.ts';
import { StderrTerminal } from './stderr-terminal.ts';
import { type ColorMode, type Painter, painter, wantsColor } from './terminal.ts';

/** Options that every command takes, before or after its name. */
export interface GlobalFlags extends RepositoryChoice {
  json?: boolean;
  jsonLines?: boolean;
  quiet?: boolean;
  progress: ProgressMode | false;
  color: ColorMode;
  lockTimeout: number;
  jobs?: number;
}

const DEFAULT_FLAGS: GlobalFlags = { progress: 'auto', color: 'auto', lockTimeout: 300 };

export interface OpenRepositoryOptions {
  /** false: the command has little to do, or calls `keepYoungGenerationSmall` itself, when everything is loaded. */
  beginsWork?: boolean;
  lock?: LockMode;
  write?: boolean;
  insecure?: boolean;
  tolerant?: boolean;
}

/** How a listing is shown. */
export interface Listing<T extends object> {
  fields: Fields<T>;
  /** All items at once, aligned; or each item as it comes. */
  text: { table: (items: T[]) => string } | { each: (item: T) => string };
}

export class CliContext {
  readonly interruption = new Interruption();
  readonly output = new Output(() => process.stdout);
  exitCode: number = ExitCode.ok;
  flags: GlobalFlags = DEFAULT_FLAGS;
  #paint: Painter | undefined;
  #display: ProgressDisplay | undefined;
  #addonPrepared = false;

  /** Called once the options are known, before the command runs. */
  async configure(flags: GlobalFlags, outputKind: OutputKind): Promise<void> {
    if (outputKind === 'data' && (flags.json || flags.jsonLines))
      throw new UsageError('this command writes data to stdout and has no --json');
    if (outputKind !== 'listing' && flags.jsonLines)
      throw new UsageError('--json-lines goes with commands that list things, use --json');
    this.flags = flags;
    this.#display = await openProgressDisplay(new StderrTerminal(flags.color), {
      mode: flags.progress === false ? 'none' : flags.progress,
      quiet: flags.quiet ?? false,
      json: this.json,
    });
    this.interruption.listen(() => this.#display?.clear());
  }

  /** Paints for stdout. */
  get paint(): Painter {
    this.#paint ??= painter(wantsColor(this.flags.color, process.stdout, process.env));
    return this.#paint;
  }

  get json(): boolean {
    return this.flags.json === true || this.flags.jsonLines === true;
  }

  get signal(): AbortSignal {
    return this.interruption.signal;
  }

  get progress(): Progress {
    return this.#openDisplay();
  }

  get repoPath(): string {
    return repositoryPath(this.flags, process.env);
  }

  /** The caller disposes of it. */
  async openRepository({
    lock = 'shared',
    beginsWork = true,
    ...rest
  }: OpenRepositoryOptions = {}): Promise<Repository> {
    if (beginsWork) keepYoungGenerationSmall();
    const { openRepository } = await import('../store/repository.ts');
    await this.prepareAddon();
    return openRepository(this.repoPath, {
      lock,
      ...rest,
      lockTimeoutMs: this.flags.lockTimeout * 1000,
      onLockWait: (message) => this.progress.warn(message),
      signal: this.signal,
    });
  }

  /** The result of a command: the named fields as JSON, or text. */
  async report<T extends object>(report: T, fields: Fields<T>, text: (report: T) => string): Promise<void> {
    this.clearProgress();
    await this.output.write(this.json ? jsonDocument(pickFields(report, fields)) : text(report));
  }

  /** Many results; they are written as they come where the form allows it. */
  async list<T extends object>(items: AsyncIterable<T> | Iterable<T>, { fields, text }: Listing<T>): Promise<void> {
    this.clearProgress();
    const picked = async function* () {
      for await (const item of items) yield pickFields(item, fields);
    };
    if (this.flags.jsonLines) for await (const item of picked()) await this.output.write(jsonLine(item));
    else if (this.json) for await (const chunk of jsonArray(picked())) await this.output.write(chunk);
    else if ('each' in text) for await (const item of items) await this.output.write(text.each(item));
    else {
      const all: T[] = [];
      for await (const item of items) all.push(item);
      await this.output.write(text.table(all));
    }
  }

  /** A listing of bare ids. */
  async listWords(words: Iterable<string>): Promise<void> {
    this.clearProgress();
    if (this.json && !this.flags.jsonLines) for await (const chunk of jsonArray(words)) await this.output.write(chunk);
    else for (const word of words) await this.output.write(this.json ? jsonLine(word) : `${word}\n`);
  }

  /** Before anything else is written to the terminal. */
  clearProgress(): void {
    this.#display?.clear();
  }

  /** For commands that open repositories otherwise. Warns where it is missing, once, however often it is called. */
  async prepareAddon(): Promise<void> {
    if (this.#addonPrepared) return;
    this.#addonPrepared = true;
    const { addonWarning, native } = await import('../native.ts');
    native?.keepMemorySmall(); // before other threads allocate
    if (this.flags.jobs !== undefined) native?.useThreads(this.flags.jobs);
    const warning = addonWarning();
    if (warning !== undefined) this.progress.warn(warning);
  }

  #openDisplay(): ProgressDisplay {
    if (this.#display === undefined) throw new Error('the command line was not read yet');
    return this.#display;
  }
}
