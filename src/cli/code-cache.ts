/**
 * The program's code, compiled, as a file in the user's own cache: V8 takes it from there instead of compiling again.
 *
 * Node's compile cache keeps what is compiled when a file is loaded. This one is taken when a command is done and has the functions that ran,
 * too; whenever a command runs that it does not know yet, it is written again with that one's functions added.
 */

import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import type { Script } from 'node:vm';
import { keepAllCode, takeAllFlagsBack } from './memory.ts';

/**
 * The directory is the user's own: in the shared temporary directory another user could put code for us to run.
 * @param digest of the code, for V8 compares lengths only
 * @returns undefined where nothing is to be kept
 */
export function codeCacheFile(digest: string): string | undefined {
  const { NODE_DISABLE_COMPILE_CACHE, XDG_CACHE_HOME } = process.env;
  if (NODE_DISABLE_COMPILE_CACHE) return undefined;
  const home = XDG_CACHE_HOME && isAbsolute(XDG_CACHE_HOME) ? XDG_CACHE_HOME : join(homedir(), '.cache');
  return join(home, 'cfs-ostree', 'compiled', `${process.version}-${process.arch}-${digest}`);
}

/** V8's data; after the last line end the commands whose functions are in it, with spaces between. */
export class CodeCache {
  /** For `vm.Script`. */
  readonly data: Uint8Array | undefined;
  readonly #file: string;
  readonly #commands: readonly string[];

  constructor(file: string) {
    this.#file = file;
    const bytes = readIfThere(file);
    const end = bytes?.lastIndexOf('\n') ?? 0;
    this.data = bytes?.subarray(0, end);
    this.#commands = bytes?.toString('latin1', end + 1).split(' ') ?? [];
  }

  /** To be called before the command does its work. What it compiles is added when the process ends well. */
  learn(command: string, script: Script): void {
    const known = script.cachedDataRejected ? [] : this.#commands;
    if (known.includes(command)) return;
    keepAllCode();
    process.on('exit', (status) => {
      if (status !== 0) return; // an error message is not what the next run will need
      takeAllFlagsBack(); // V8 takes code under those flags only that it was compiled with
      writeIfPossible(this.#file, [script.createCachedData(), Buffer.from(`\n${[...known, command].join(' ')}`)]);
    });
  }
}

function readIfThere(file: string): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch {
    return undefined; // then everything is compiled
  }
}

/** Synced before it gets its name: V8 does not survive damaged data. Where it cannot be written, the next start compiles again. */
function writeIfPossible(file: string, parts: Uint8Array[]): void {
  const temporary = `${file}.${process.pid}`;
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    const fd = openSync(temporary, 'wx', 0o600);
    try {
      for (const part of parts) writeFileSync(fd, part);
      fsyncSync(fd);
      renameSync(temporary, file);
    } catch {
      rmSync(temporary);
    } finally {
      closeSync(fd);
    }
  } catch {
    // no place for it
  }
}
