/** From what a user types (ref, commit, unique prefix, `^` for the parent) to a stored commit. */

import { FormatError, NotFoundError, UsageError } from '../errors.ts';
import { type Checksum, isChecksum } from '../formats/ids.ts';
import { listStoredCommits, OWN_REFS, ostreeRefOfPath, ostreeRefPath, parseStreamName } from '../store/ostree-refs.ts';
import type { Repository } from '../store/repository.ts';

/** Shorter prefixes of a commit are refused: a ref could look like one. */
export const MIN_PREFIX_DIGITS = 8;

export interface LocalRef {
  ref: string;
  commit: Checksum;
  /** First-level name under `streams/`. */
  stream: string;
}

/** The commit that a local ref points to, if there is such a ref. @throws FormatError when it points at something else */
export async function findRef(repo: Repository, ref: string): Promise<Checksum | undefined> {
  const target = await repo.streams.resolveRef(ostreeRefPath(ref));
  if (target === undefined) return undefined;
  const parsed = parseStreamName(target);
  if (parsed?.kind !== 'commit')
    throw new FormatError(`points at ${target}, which is no commit stream`, {
      file: `streams/refs/${ostreeRefPath(ref)}`,
    });
  return parsed.commit;
}

/** All refs of ostree commits, sorted by name. */
export async function listRefs(repo: Repository): Promise<LocalRef[]> {
  const refs: LocalRef[] = [];
  for await (const { ref: path, target } of repo.streams.listRefs()) {
    const ref = ostreeRefOfPath(path);
    const parsed = parseStreamName(target);
    if (ref !== undefined && parsed?.kind === 'commit') refs.push({ ref, commit: parsed.commit, stream: target });
  }
  return refs.sort((a, b) => (a.ref < b.ref ? -1 : a.ref > b.ref ? 1 : 0));
}

/** First-level names of the streams that refs lead to. */
export async function streamsWithRef(repo: Repository): Promise<Set<string>> {
  const names = new Set<string>();
  for await (const { target } of repo.streams.listRefs()) names.add(target);
  return names;
}

/** Commits that unfinished pulls have left parts of. */
export async function listPartialCommits(repo: Repository): Promise<Checksum[]> {
  const commits: Checksum[] = [];
  for await (const { ref, target } of repo.streams.listRefs()) {
    const parsed = parseStreamName(target);
    if (ref.startsWith(`${OWN_REFS}/`) && parsed?.kind === 'partial') commits.push(parsed.commit);
  }
  return commits.sort();
}

/**
 * A ref first, then a commit; each `^` at the end is one parent further.
 * @throws NotFoundError; UsageError for a prefix that is too short or fits several commits
 */
export async function resolveCommit(repo: Repository, name: string): Promise<Checksum> {
  const base = name.replace(/\^+$/, '');
  let commit = (await findRef(repo, base)) ?? (await findByChecksum(repo, base));
  if (commit === undefined)
    throw new NotFoundError(`no ref or commit ${JSON.stringify(base)} here; see \`cfs-ostree refs\``);
  for (let generation = name.length - base.length; generation > 0; generation--) {
    const { openCommit } = await import('./commit-reader.ts'); // most names need no look into a commit
    const { parent } = (await openCommit(repo, commit)).commit();
    if (parent === undefined) throw new NotFoundError('has no parent', { object: `${commit}.commit` });
    commit = parent;
  }
  return commit;
}

async function findByChecksum(repo: Repository, text: string): Promise<Checksum | undefined> {
  if (isChecksum(text)) return text;
  if (!/^[0-9a-f]+$/.test(text) || text.length > 64) return undefined;
  const matches = (await listStoredCommits(repo.streams)).filter((commit) => commit.startsWith(text));
  if (matches.length === 0) return undefined;
  if (text.length < MIN_PREFIX_DIGITS)
    throw new UsageError(`${text} is too short for a commit, give at least ${MIN_PREFIX_DIGITS} digits`);
  if (matches.length > 1) throw new UsageError(`${text} fits ${matches.length} commits: ${matches.join(', ')}`);
  return matches[0];
}
