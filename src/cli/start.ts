/** Where the command begins; a file of its own in the bundle (scripts/bundle.js), beside the program that it loads. */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Script } from 'node:vm';
import { CodeCache, codeCacheFile } from './code-cache.ts';

/** Of the program's code; the bundler puts it in. */
declare const PROGRAM_DIGEST: string;

const program = join(import.meta.dirname, 'program.cjs');
const cacheFile = codeCacheFile(PROGRAM_DIGEST);
const cache = cacheFile === undefined ? undefined : new CodeCache(cacheFile);
// As Node wraps a module; `latin1`, because the bundler escapes everything else, and nothing has to be decoded.
const script = new Script(`(function (module, require, __filename) {${readFileSync(program, 'latin1')}\n})`, {
  filename: program,
  cachedData: cache?.data,
});
const module = { exports: {} as typeof import('./main.ts') };
script.runInThisContext()(module, createRequire(program), program);
void module.exports.main(process.argv.slice(2), (command) => cache?.learn(command, script));
