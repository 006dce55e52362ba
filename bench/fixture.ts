/** The data: a machine's own programs, libraries, headers and documents as a commit, a second one with a few files changed, and more where they are asked for. */

import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { chrootCommand, runOstree } from '../test/support/chroot.ts';
import { runChecked } from '../test/support/run-command.ts';
import { inChroot } from './programs.ts';

/** What of the machine is committed, unless another tree is given. */
const MACHINE = { root: '/', paths: ['usr/share', 'usr/include', 'usr/bin', 'usr/lib/x86_64-linux-gnu'] };
const CHANGED_FILES = 600;
const NEW_FILES = 200;
const MAX_CHANGED_BYTES = 256 * 1024;
export const HISTORY_COMMITS = 99;
const HISTORY_FILES = 10;
/** Which files change depends on this and their paths alone. */
const SEED = 'cfs-ostree bench 1';

export interface Fixture {
  directory: string;
  base: { ref: string; commit: string };
  /** Its parent is `base`. */
  update: { ref: string; commit: string };
  /** Regular files in the base commit, and their content. */
  files: number;
  bytes: number;
  /** Objects that the update has and the base has not: content, dirtrees, the commit. */
  changedObjects: number;
}

/** Archive repository with all commits. */
export const archiveOf = ({ directory }: Fixture): string => join(directory, 'archive');

/** Made once for each directory. @param tree what is committed instead of the machine's files */
export async function ensureFixture(
  directory: string,
  tree: string | undefined,
  say: (text: string) => void,
): Promise<Fixture> {
  const description = join(directory, 'fixture.json');
  try {
    return { ...JSON.parse(await readFile(description, 'utf8')), directory };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  say(`making the commits in ${directory}${tree === undefined ? ', which takes some minutes' : ''}`);
  for (const name of ['archive', 'overlay', 'bare', 'tree'])
    await rm(join(directory, name), { recursive: true, force: true });
  await mkdir(directory, { recursive: true });
  const fixture = await make(directory, tree === undefined ? MACHINE : { root: tree, paths: ['.'] });
  await writeFile(`${description}.new`, JSON.stringify(fixture, undefined, 2));
  await rename(`${description}.new`, description);
  return fixture;
}

/** The base commit in a bare repository, with the other commits. */
export const ensureBare = (fixture: Fixture): Promise<string> =>
  ensureDirectory(fixture, 'bare', async (path) => {
    await runOstree([`--repo=${inChroot(path)}`, 'init', '--mode=bare']);
    await runOstree([
      ...[`--repo=${inChroot(path)}`, 'pull-local', '--disable-fsync', inChroot(archiveOf(fixture))],
      ...[fixture.base.ref, fixture.update.ref],
    ]);
  });

/** The base commit's files. */
export const ensureTree = (fixture: Fixture): Promise<string> =>
  ensureDirectory(fixture, 'tree', async (path) => {
    const checkout = ['checkout', fixture.base.ref, inChroot(path)];
    await runOstree([`--repo=${inChroot(archiveOf(fixture))}`, ...checkout]);
  });

/** Refs of commits in the archive repository, as the base commit each, with a few small files of their own. */
export async function ensureHistory(fixture: Fixture): Promise<string[]> {
  const repo = archiveOf(fixture);
  const overlay = join(fixture.directory, 'overlay');
  const refs = Array.from({ length: HISTORY_COMMITS }, (_, i) => `bench/history/${i + 1}`);
  const isThere = (ref: string): boolean => existsSync(join(repo, 'refs/heads', ref));
  for (const [i, ref] of refs.entries()) {
    if (isThere(ref)) continue;
    await makeHistory(overlay, i + 1);
    await commitOverlay(repo, overlay, ref, fixture.base.commit, 'none');
  }
  await rm(overlay, { recursive: true, force: true });
  return refs;
}

async function ensureDirectory(
  { directory }: Fixture,
  name: string,
  fill: (path: string) => Promise<void>,
): Promise<string> {
  const path = join(directory, name);
  if ((await stat(path).catch(() => undefined)) !== undefined) return path;
  await rm(`${path}.new`, { recursive: true, force: true });
  await fill(`${path}.new`);
  await rename(`${path}.new`, path);
  return path;
}

interface Origin {
  root: string;
  paths: string[];
}

async function make(directory: string, origin: Origin): Promise<Fixture> {
  const repo = join(directory, 'archive');
  const overlay = join(directory, 'overlay');
  const files = await listFiles(origin);
  await runOstree([`--repo=${inChroot(repo)}`, 'init', '--mode=archive']);
  await runOstree([`--repo=${inChroot(repo)}`, 'config', 'set', 'core.fsync', 'false']);
  const base = { ref: 'bench/base', commit: await commitTrees(repo, 'bench/base', origin) };
  const objectsOfBase = await countObjects(repo);
  await makeUpdate(overlay, origin, files);
  const update = {
    ref: 'bench/update',
    commit: await commitOverlay(repo, overlay, 'bench/update', base.commit, base.commit),
  };
  const changedObjects = (await countObjects(repo)) - objectsOfBase;
  await rm(overlay, { recursive: true });
  const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return { directory, base, update, files: files.length, bytes, changedObjects };
}

/** A commit of `base` with the files of `overlay` instead or beside. @returns its checksum */
async function commitOverlay(
  repo: string,
  overlay: string,
  ref: string,
  base: string,
  parent: string,
): Promise<string> {
  const { stdout } = await runOstree([
    ...[`--repo=${inChroot(repo)}`, 'commit', `--branch=${ref}`, `--parent=${parent}`, '--timestamp=@86400'],
    ...[`--tree=ref=${base}`, `--tree=dir=${inChroot(overlay)}`],
  ]);
  return stdout.trim();
}

async function countObjects(repo: string): Promise<number> {
  const names = await readdir(join(repo, 'objects'), { recursive: true });
  return names.filter((name) => /\.(filez|dirtree|dirmeta|commit)$/.test(name)).length;
}

interface OriginFile {
  /** From the origin's root. */
  path: string;
  sizeBytes: number;
}

async function listFiles({ root, paths }: Origin): Promise<OriginFile[]> {
  const { stdout } = await runChecked('find', [...paths, '-type', 'f', '-printf', '%s %p\\0'], { cwd: root });
  return stdout
    .split('\0')
    .slice(0, -1)
    .map((line) => {
      const space = line.indexOf(' ');
      return { path: line.slice(space + 1), sizeBytes: Number(line.slice(0, space)) };
    });
}

// $1 the root, $2 how many paths follow, the paths, then what reads the archive. A real pipe: /dev/stdin cannot be opened on a socket.
const PIPE_TAR = `
  root=$1 count=$2; shift 2
  for i in $(seq $count); do paths="$paths $1"; shift; done
  tar -C "$root" --sort=name --numeric-owner -cf - $paths | "$@"`;

/** Through tar, for the trees keep their places below `/usr`. */
async function commitTrees(repo: string, branch: string, { root, paths }: Origin): Promise<string> {
  const ostree = chrootCommand([
    ...['ostree', `--repo=${inChroot(repo)}`, 'commit', `--branch=${branch}`, '--timestamp=@0'],
    ...['--tree=tar=/dev/stdin', '--tar-autocreate-parents'],
  ]);
  const args = ['-ec', PIPE_TAR, 'sh', root, String(paths.length), ...paths, ...ostree];
  return (await runChecked('sh', args, { env: { ...process.env, LC_ALL: 'C.UTF-8' } })).stdout.trim();
}

/** Files that change, at their places, and new ones below a new directory. */
async function makeUpdate(overlay: string, { root }: Origin, files: OriginFile[]): Promise<void> {
  const chosen = files
    .filter(({ sizeBytes }) => sizeBytes > 0 && sizeBytes <= MAX_CHANGED_BYTES)
    .map((file) => ({ file, rank: createHash('sha256').update(`${SEED} ${file.path}`).digest('hex') }))
    .sort((a, b) => (a.rank < b.rank ? -1 : 1))
    .slice(0, CHANGED_FILES + NEW_FILES);
  for (const [i, { file, rank }] of chosen.entries()) {
    const source = join(root, file.path);
    const target = join(overlay, i < CHANGED_FILES ? file.path : `usr/share/${rank.slice(0, 2)}-bench/${rank}`);
    await mkdir(dirname(target), { recursive: true });
    await cp(source, target);
    await writeFile(target, `\n${SEED} ${rank}\n`, { flag: 'a', mode: (await stat(source)).mode });
  }
}

async function makeHistory(overlay: string, n: number): Promise<void> {
  await rm(overlay, { recursive: true, force: true });
  await mkdir(join(overlay, 'usr/bench-history'), { recursive: true });
  for (let i = 0; i < HISTORY_FILES; i++)
    await writeFile(join(overlay, 'usr/bench-history', `${i}`), `${SEED}, commit ${n}, file ${i}\n`.repeat(20));
}
