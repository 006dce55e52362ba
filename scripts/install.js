// Builds the native addon. Never fails an installation: without the addon most of cfs-ostree works, only slower.
// Plain JavaScript for any Node: it runs before anything is compiled, perhaps under one that is too old for the rest.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Node-API headers fit every Node, so the first ones will do. */
function findHeaders() {
  const nodeDirectory = process.env.npm_config_nodedir;
  const candidates = [
    ...(nodeDirectory ? [join(nodeDirectory, 'include/node')] : []),
    join(dirname(process.execPath), '../include/node'),
    join(root, 'node_modules/node/node_modules', `node-linux-${process.arch}`, 'include/node'),
    '/usr/include/node',
  ];
  return candidates.find((directory) => existsSync(join(directory, 'node_api.h')));
}

/** @returns why it could not be built, or undefined */
function build() {
  if (process.platform !== 'linux') return `it is for Linux, not ${process.platform}`;
  const headers = findHeaders();
  if (headers === undefined)
    return "Node's headers are not here; set npm_config_nodedir to the directory that has include/node";
  // warnings are for those who work on it: another compiler's must not cost a user the addon
  const options = [`-j${availableParallelism()}`, '-C', join(root, 'native'), `NODE_INCLUDE=${headers}`, 'WARNINGS='];
  const make = spawnSync('make', options, { encoding: 'utf8' });
  if (make.error !== undefined) return make.error.code === 'ENOENT' ? 'make is not installed' : make.error.message;
  if (make.status === 0) return undefined;
  const lines = `${make.stderr}`.split('\n').filter((line) => line.trim() !== '');
  if (lines.some((line) => /Error 127$|(g\+\+|c\+\+).*(not found|No such file)/.test(line)))
    return 'g++ is not installed';
  return `the compiler says: ${lines.find((line) => / error: |fatal error/.test(line)) ?? lines.at(-1) ?? 'nothing'}`;
}

let problem;
try {
  problem = build();
} catch (error) {
  problem = error instanceof Error ? error.message : String(error);
}
if (problem !== undefined)
  console.error(
    `cfs-ostree: the native addon was not built (${problem}). cfs-ostree works without it, with limits: doc/native.md`,
  );
