/**
 * The program's code, compiled, in files in the user's own cache, one for each command: V8 takes it from there instead of compiling again.
 *
 * Node's compile cache keeps what is compiled when a file is loaded. Here the code is taken when a command is done, and the functions
 * that ran are in it, too.
 */

import {
  closeSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, isAbsolute, join } from 'node:path';
import type { Script } from 'node:vm';
import { type OwnedBytes, release } from '../formats/owned-bytes.ts';
import { keepAllCode, takeAllFlagsBack } from './memory.ts';

/** Commands, and `--version`, `--help`. Most other arguments look different. */
const NAME = /^[a-z-]+$/;

/** V8 does not survive damaged data and has no check of its own. Two copies are compared sooner than anything is summed. */
const COPIES = 2;
const WRITABLE_BY_OTHERS = 0o022;
/** What another build of the program, or another Node, has kept for longer than this is in nobody's use, or soon made again. */
const OTHERS_ARE_KEPT_MS = 30 * 24 * 3600 * 1000;

export class CodeCache {
  /** For `vm.Script`. */
  readonly data: OwnedBytes | undefined;
  /** Whose functions it has. */
  readonly #command: string | undefined;
  readonly #prefix: string | undefined;

  /**
   * @param digest of the code, for V8 compares lengths only
   * @param args the first of them that there is a file for will be the command; any other one's file is as right, only less useful
   */
  constructor(digest: string, args: string[]) {
    this.#prefix = filePrefix(digest);
    if (this.#prefix === undefined) return;
    for (const command of args.filter((arg) => NAME.test(arg))) {
      this.data = readIfThere(this.#prefix + command);
      this.#command = command;
      if (this.data !== undefined) return;
    }
  }

  /** When the script is made: what it was made from is of no use any more. */
  release(): void {
    if (this.data !== undefined) release(this.data);
  }

  /** To be called before the command does its work. What it compiles is kept when the process ends well. */
  learn(command: string, script: Script): void {
    const prefix = this.#prefix;
    const isKnown = this.data !== undefined && !script.cachedDataRejected && this.#command === command;
    if (prefix === undefined || isKnown) return;
    keepAllCode();
    process.on('exit', (status) => {
      if (status !== 0) return; // an error message is not what the next run will need
      takeAllFlagsBack(); // V8 takes code under those flags only that it was compiled with
      writeIfPossible(prefix + command, script.createCachedData());
      removeOld(prefix);
    });
  }
}

/**
 * The directory is the user's own: in the shared temporary directory another user could put code for us to run.
 * @returns undefined where nothing is to be kept
 */
function filePrefix(digest: string): string | undefined {
  const { NODE_DISABLE_COMPILE_CACHE, XDG_CACHE_HOME } = process.env;
  if (NODE_DISABLE_COMPILE_CACHE) return undefined;
  const home = XDG_CACHE_HOME && isAbsolute(XDG_CACHE_HOME) ? XDG_CACHE_HOME : join(homedir(), '.cache');
  return join(home, 'cfs-ostree', 'compiled', `${process.version}-${process.arch}-${digest}-`);
}

/** V8 runs what it is given: it must be our own user's (`sudo` may leave another one's home), and undamaged. */
function readIfThere(file: string): OwnedBytes | undefined {
  try {
    const fd = openSync(file, 'r');
    try {
      const { uid, mode, size } = fstatSync(fd);
      if (uid !== process.geteuid?.() || (mode & WRITABLE_BY_OTHERS) !== 0) return undefined;
      const data = new Uint8Array(size / COPIES); // no `Buffer`: small ones share their memory with others
      const copy = new Uint8Array(data.length);
      readSync(fd, data);
      readSync(fd, copy);
      const isSame = Buffer.compare(data, copy) === 0;
      release(copy);
      return isSame ? data : undefined;
    } finally {
      closeSync(fd);
    }
  } catch {
    return undefined; // then everything is compiled
  }
}

/** Where it cannot be written, the next start compiles again. */
function writeIfPossible(file: string, data: Uint8Array): void {
  const temporary = `${file}.${process.pid}`;
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    const fd = openSync(temporary, 'wx', 0o600);
    try {
      for (let i = 0; i < COPIES; i++) writeFileSync(fd, data);
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

function removeOld(prefix: string): void {
  const directory = dirname(prefix);
  try {
    for (const name of readdirSync(directory)) {
      if (name.startsWith(basename(prefix))) continue;
      const file = join(directory, name);
      if (Date.now() - lstatSync(file).mtimeMs > OTHERS_ARE_KEPT_MS) rmSync(file);
    }
  } catch {
    // it is gone already, or will be another time
  }
}
