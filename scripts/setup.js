// Makes the development tree ready: dependencies, the tree's own Node, native parts, build. Does only what is not there
// yet. Runs under the Node that the machine has (20 or newer), before any dependency exists: only Node's own modules.
// Whatever it says goes to stderr, so that the stdout of `npm start -- COMMAND` is the command's alone.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
const inTree = (...parts) => join(root, ...parts);

/** The npm package that carries the tree's Node and its headers; `node` installs the one for this machine. */
const nodePackage = inTree('node_modules/node/node_modules', `node-${process.platform}-${process.arch}`);
export const treeNode = join(nodePackage, 'bin/node');

const stampFile = inTree('node_modules/.cfs-ostree-setup.json');

class SetUpError extends Error {}

/** Sets up what is missing. @throws SetUpError with a message that is ready to be shown */
export function setUp() {
  if (!dependenciesAreInstalled()) installDependencies();
  if (!nodeIsInstalled()) installNode();
  const stamps = readStamps();
  ensureFsExt(stamps);
  ensureAddon(stamps);
  ensureBuild(stamps);
  ensureLauncher();
}

/** Only `dist/`, `program/` and the launcher: for tests that were started without this script. */
export function ensureProgramIsBuilt() {
  ensureBuild(readStamps());
  ensureLauncher();
}

/** As setUp, but an explained failure ends the process: for the scripts that npm runs. */
export function setUpOrExit() {
  try {
    setUp();
  } catch (error) {
    if (!(error instanceof SetUpError)) throw error;
    process.stderr.write(`\nsetup: ${error.message}\n`);
    process.exit(1);
  }
}

// npm writes down what it installed; comparing that with the lock file also sees a half-finished or outdated tree.
function dependenciesAreInstalled() {
  const installedFile = inTree('node_modules/.package-lock.json');
  if (!existsSync(installedFile)) return false;
  const installed = readJson(installedFile).packages;
  const wanted = readJson(inTree('package-lock.json')).packages;
  return Object.entries(wanted).every(([path, { version, optional }]) => {
    if (path === '') return true;
    return path in installed ? installed[path].version === version : optional === true;
  });
}

function installDependencies() {
  // --include: NODE_ENV=production or omit=dev of the user's own npm configuration must not take the build tools away.
  step('dependencies', () =>
    npm('ci', '--ignore-scripts', '--include=dev', '--include=optional', '--loglevel=error', '--no-audit', '--no-fund'),
  );
}

const nodeIsInstalled = () =>
  existsSync(treeNode) &&
  existsSync(inTree('node_modules/.bin/node')) &&
  versionIn(join(nodePackage, 'package.json')) === versionIn(inTree('node_modules/node/package.json'));

function installNode() {
  step(`Node ${versionIn(inTree('node_modules/node/package.json'))}`, () =>
    npm('rebuild', 'node', '--ignore-scripts=false', '--loglevel=error'),
  );
  if (!nodeIsInstalled()) throw new SetUpError(`npm installed no Node for ${process.platform}-${process.arch}`);
}

/** fs-ext is optional (locks come from the addon, else from util-linux), so that its failure is one line. */
function ensureFsExt(stamps) {
  if (!existsSync(inTree('node_modules/fs-ext'))) return;
  const key = hashOf([inTree('node_modules/fs-ext/package.json'), join(nodePackage, 'package.json')], buildTools());
  if (stamps.fsExt === key) return;
  const loads = () => run(treeNode, ['-e', "require('fs-ext')"]).status === 0;
  if (!loads()) {
    tolerated('fs-ext', () => {
      // Headers of the Node that will load it, whatever `nodedir` the user's npm configuration names.
      npm('rebuild', 'fs-ext', '--ignore-scripts=false', `--nodedir=${nodePackage}`, '--loglevel=error');
      if (!loads()) throw new SetUpError('fs-ext was built, but does not load');
    });
  }
  writeStamp(stamps, { fsExt: key });
}

/** Without the addon the program still does a part of its work and says so. */
function ensureAddon(stamps) {
  const sources = readdirSync(inTree('native'), { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => inTree('native', entry.name));
  const key = hashOf([...sources, inTree('scripts/install.js'), join(nodePackage, 'package.json')], buildTools());
  const isBuilt = () =>
    existsSync(inTree('native/build')) && readdirSync(inTree('native/build')).some((name) => name.endsWith('.node'));
  // A build that failed is tried again when sources or tools change, a build that someone removed at once.
  if (stamps.addon === key && (isBuilt() || stamps.addonFailed)) return;
  let output = '';
  tolerated('native addon', () => {
    // Whatever `nodedir` the user's npm configuration names: the headers are those of the tree's Node.
    const env = { ...process.env, npm_config_nodedir: nodePackage };
    ({ output } = check(run(treeNode, [inTree('scripts/install.js')], env), 'scripts/install.js'));
    if (!isBuilt()) throw new SetUpError(output.trim());
  });
  writeStamp(stamps, { addon: key, addonFailed: !isBuilt() });
}

/** `dist/`, the library, and `program/`, the command in a bundle. */
function ensureBuild(stamps) {
  const sources = readdirSync(inTree('src'), { recursive: true })
    .filter((name) => name.endsWith('.ts'))
    .sort()
    .map((name) => inTree('src', name));
  const configuration = ['tsconfig.json', 'tsconfig.build.json', 'scripts/bundle.js', 'package-lock.json'].map((name) =>
    inTree(name),
  );
  const key = hashOf([...configuration, ...sources]);
  if (stamps.dist === key && existsSync(inTree('dist/index.js')) && existsSync(inTree('program/start.cjs'))) return;
  step('TypeScript build', () => {
    // Types are checked by `npm run types`; set-up only translates.
    const tsc = inTree('node_modules/typescript/bin/tsc');
    replaceDirectory('dist', (fresh) =>
      check(run(treeNode, [tsc, '-p', inTree('tsconfig.build.json'), '--noCheck', '--outDir', fresh]), 'tsc'),
    );
    replaceDirectory('program', (fresh) => check(run(treeNode, [inTree('scripts/bundle.js'), fresh]), 'bundle.js'));
  });
  writeStamp(stamps, { dist: key });
}

/** Built beside and swapped in, so that a program that runs meanwhile never sees half a build. */
function replaceDirectory(name, build) {
  const fresh = inTree(`.${name}-${process.pid}`);
  const old = inTree(`.${name}-${process.pid}-old`);
  try {
    build(fresh);
    if (existsSync(inTree(name))) renameSync(inTree(name), old);
    renameSync(fresh, inTree(name));
  } finally {
    for (const directory of [fresh, old]) rmSync(directory, { recursive: true, force: true });
  }
}

/** `node_modules/.bin/cfs-ostree`: the program under the tree's own Node, from anywhere and through symbolic links. */
function ensureLauncher() {
  const launcher = inTree('node_modules/.bin/cfs-ostree');
  const text = `#!/bin/sh
self=$(readlink -f -- "$0")
root=\${self%/node_modules/.bin/cfs-ostree}
exec "$root/node_modules/node/bin/node" "$root/bin/cfs-ostree.js" "$@"
`;
  if (existsSync(launcher) && readFileSync(launcher, 'utf8') === text) return;
  mkdirSync(dirname(launcher), { recursive: true });
  writeFileSync(launcher, text);
  chmodSync(launcher, 0o755);
}

function step(title, work) {
  process.stderr.write(`setup: ${title} … `);
  const start = performance.now();
  try {
    work();
  } catch (error) {
    process.stderr.write('failed');
    throw error;
  }
  process.stderr.write(`${((performance.now() - start) / 1000).toFixed(1)} s\n`);
}

/** A step that the program can do without: its failure is told in one line, and set-up goes on. */
function tolerated(title, work) {
  try {
    step(title, work);
  } catch (error) {
    if (!(error instanceof SetUpError)) throw error;
    const reason = error.message.split('\n').find((line) => /error|not found|missing|need/i.test(line));
    process.stderr.write(`, going on without: ${(reason ?? error.message).trim().slice(0, 300)}\n`);
  }
}

const npm = (...args) => check(run('npm', args), `npm ${args[0]}`);

/** The output is kept back: it matters only when the step fails. */
function run(program, args, env = process.env) {
  const result = spawnSync(program, args, { cwd: root, env, encoding: 'utf8', maxBuffer: 64 * 2 ** 20 });
  if (result.error?.code === 'ENOENT') throw new SetUpError(`${program} is not installed`);
  if (result.error) throw result.error;
  if (result.signal !== null) process.exit(128 + (result.signal === 'SIGINT' ? 2 : 15));
  return { status: result.status, output: `${result.stdout}${result.stderr}` };
}

function check(result, what) {
  if (result.status !== 0)
    throw new SetUpError(`${what} failed with exit status ${result.status}\n${result.output.trim()}`);
  return result;
}

/** Which compilers are there: part of the stamps, so that installing one is noticed. */
const buildTools = () =>
  ['g++', 'c++', 'make', 'python3'].filter((tool) =>
    (process.env.PATH ?? '').split(delimiter).some((folder) => isExecutable(join(folder, tool))),
  );

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function hashOf(files, words = []) {
  const hash = createHash('sha256');
  for (const word of words) hash.update(`${word}\0`);
  for (const file of files)
    hash
      .update(`${file.slice(root.length)}\0`)
      .update(existsSync(file) ? readFileSync(file) : '')
      .update('\0');
  return hash.digest('hex');
}

const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'));
const versionIn = (path) => (existsSync(path) ? readJson(path).version : undefined);
const readStamps = () => (existsSync(stampFile) ? readJson(stampFile) : {});

function writeStamp(stamps, changes) {
  Object.assign(stamps, changes);
  writeFileSync(stampFile, `${JSON.stringify(stamps, null, 2)}\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) setUpOrExit();
