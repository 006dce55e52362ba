/** What lies in a repository, read by other means than the program's own. */

import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Checksum } from '../../src/formats/ids.ts';
import { findPartialCommit } from '../../src/operations/commit-reader.ts';
import { checkRepository, type Finding } from '../../src/operations/fsck.ts';
import { collectGarbage } from '../../src/operations/gc.ts';
import { openRepository } from '../../src/store/repository.ts';

export interface RepositoryState {
  /** Paths of all symlinks with their targets. */
  links: Record<string, string>;
  /** Paths of all objects. */
  objects: string[];
  /** Everything else that is a file, the side index left out: what it holds depends on the way to the same objects. */
  others: string[];
}

export async function readState(repo: string): Promise<RepositoryState> {
  const state: RepositoryState = { links: {}, objects: [], others: [] };
  for (const entry of await readdir(repo, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(repo.length + 1);
    if (entry.isSymbolicLink()) state.links[name] = await readlink(path);
    else if (/^objects\/[0-9a-f]{2}\/[0-9a-f]+$/.test(name)) state.objects.push(name);
    else if (!entry.isDirectory() && !/^cfs-ostree\/index\/([0-9a-f]{32}\.segment|gaps)$/.test(name))
      state.others.push(name);
  }
  state.objects.sort();
  state.others.sort();
  return { ...state, links: Object.fromEntries(Object.entries(state.links).sort()) };
}

/** Names that only unfinished work has. */
export const temporariesIn = ({ links, others }: RepositoryState): string[] =>
  [...Object.keys(links), ...others].filter((name) => /(^|\/)\.(tmp-|symlink-)/.test(name));

/** All that `fsck` finds, leftover temporaries excepted: a killed program may leave them. */
export async function findingsBesideTemporaries(path: string): Promise<Finding[]> {
  await using repo = await openRepository(path, { lock: 'shared' });
  const { findings } = await checkRepository(repo);
  return findings.filter(({ severity, kind }) => severity !== 'warning' || kind !== 'leftover-temporary');
}

/** The state after gc, when nothing at all is left of interrupted work. */
export async function collected(path: string): Promise<RepositoryState> {
  {
    await using repo = await openRepository(path, { lock: 'exclusive', write: true });
    await collectGarbage(repo);
    expect((await checkRepository(repo)).findings).toEqual([]);
  }
  const state = await readState(path);
  expect(temporariesIn(state)).toEqual([]);
  return state;
}

/** Everything that the last checkpoint of a pull of this commit holds; undefined where there was none. */
export async function heldByCheckpoint(path: string, commit: Checksum): Promise<Set<Checksum> | undefined> {
  await using repo = await openRepository(path, { lock: 'shared' });
  const partial = await findPartialCommit(repo, commit);
  if (partial === undefined) return undefined;
  return new Set(Array.from({ length: partial.map.count }, (_, i) => partial.map.checksumAt(i)));
}

export const readAsked = async (file: string): Promise<Checksum[]> =>
  (await readFile(file, 'utf8').catch(() => '')).split('\n').filter((line) => line !== '') as Checksum[];
