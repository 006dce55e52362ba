/** Where the command begins; a file of its own in the bundle (scripts/bundle.js), beside the program that it loads. */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Script } from 'node:vm';
import { CodeCache } from './code-cache.ts';

/** Of the program's code; the bundler puts it in. */
declare const PROGRAM_DIGEST: string;

const program = join(import.meta.dirname, 'program.cjs');
const args = process.argv.slice(2);
const cache = new CodeCache(PROGRAM_DIGEST, args);
// `latin1`: the bundler escapes everything else, and nothing has to be decoded.
const script = new Script(readFileSync(program, 'latin1'), { filename: program, cachedData: cache.data });
cache.release();
const module = { exports: {} as typeof import('./main.ts') };
script.runInThisContext()(module, createRequire(program), program);
void module.exports.main(args, (command) => cache.learn(command, script));
