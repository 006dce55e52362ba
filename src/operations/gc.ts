/** Garbage collection: removes what no ref reaches, and what interrupted work left behind. */

import { FormatError, LockedError } from '../errors.ts';
import { isChecksum } from '../formats/ids.ts';
import { type Progress, silentProgress } from '../progress.ts';
import { commitmetaRefPath, commitStreamName, parseStreamName, partialRefPath } from '../store/ostree-refs.ts';
import type { Repository } from '../store/repository.ts';
import { pruneSideIndex } from '../store/side-index-prune.ts';
import { LiveObjects } from './gc-mark.ts';
import { type SweepCounts, sweepFiles, sweepNames } from './gc-sweep.ts';

export interface GcOptions {
  /** Report what would go; nothing is changed, a shared lock is enough. */
  dryRun?: boolean;
  /** Further roots: first-level names under `streams/` or `images/`, or commits. */
  roots?: string[];
  /** So many parents of each reached commit stay too, as far as they are stored. Default 0. */
  keepDepth?: number;
  progress?: Progress;
  signal?: AbortSignal;
}

export interface GcReport extends SweepCounts {
  dryRun: boolean;
}

/** What an interrupted pull left is kept so long after its last checkpoint. */
export const PARTIAL_LIFETIME_MS = 24 * 3600 * 1000;

/**
 * @param repo opened with the exclusive lock, unless it is a dry run
 * @throws FormatError, DigestMismatchError, MissingObjectError when anything reached is damaged or missing: then nothing was removed
 */
export async function collectGarbage(repo: Repository, options: GcOptions = {}): Promise<GcReport> {
  const { dryRun = false, roots = [], keepDepth = 0, progress = silentProgress, signal } = options;
  if (!dryRun) {
    if (repo.lockMode !== 'exclusive')
      throw new LockedError('garbage collection needs the exclusive lock', { file: repo.path });
    await repo.requireWritable();
  }
  const live = await LiveObjects.begin(repo, { keepDepth, progress, signal });
  const ownRefs = await keepRefs(repo, live);
  for (const root of roots) await keepRoot(repo, live, root, progress);
  const deadRefs = await keepOwnRefs(repo, live, ownRefs);
  const names = await sweepNames(repo, live, deadRefs, { dryRun, progress, signal });
  // the index only looks at names: it is brought up to date while threads go through the objects
  const pruned = dryRun ? undefined : pruneSideIndex(repo, (message) => progress.warn(message));
  const [files] = await Promise.allSettled([sweepFiles(repo, live, { dryRun, progress, signal }), pruned]);
  if (files.status === 'rejected') throw files.reason;
  await pruned;
  return { ...names, ...files.value, dryRun };
}

/** A ref to a partial stream or to detached metadata: whether it keeps anything depends on more than its existence. */
interface OwnRef {
  ref: string;
  target: string;
}

async function keepRefs(repo: Repository, live: LiveObjects): Promise<OwnRef[]> {
  const own: OwnRef[] = [];
  for (const links of [repo.streams, repo.images]) {
    for await (const { ref, linkText, target } of links.refEntries()) {
      const path = `${links.kind}/refs/${ref}`;
      if (linkText === undefined) throw new FormatError('is no symlink', { file: path });
      if (target === undefined)
        throw new FormatError(`link target ${JSON.stringify(linkText)} is not that of an entry of ${links.kind}/`, {
          file: path,
        });
      if (links.kind === 'images') await live.keepImageName(target, path);
      else if (isOwnRef(ref, target)) own.push({ ref, target });
      else await live.keepStreamName(target, path);
    }
  }
  return own;
}

function isOwnRef(ref: string, target: string): boolean {
  const parsed = parseStreamName(target);
  return (
    (parsed?.kind === 'partial' && ref === partialRefPath(parsed.commit)) ||
    (parsed?.kind === 'commitmeta' && ref === commitmetaRefPath(parsed.commit))
  );
}

/** Partial streams first: detached metadata of a commit stays as long as any of the commit does. */
async function keepOwnRefs(repo: Repository, live: LiveObjects, own: OwnRef[]): Promise<string[]> {
  const dead: string[] = [];
  const keepIf = async ({ ref, target }: OwnRef, isWanted: boolean): Promise<void> => {
    if (isWanted && (await repo.streams.resolve(target)) !== undefined)
      await live.keepStreamName(target, `streams/refs/${ref}`);
    else dead.push(ref);
  };
  const kindOf = ({ target }: OwnRef) => parseStreamName(target);
  for (const ref of own) if (kindOf(ref)?.kind === 'partial') await keepIf(ref, isRecent(repo, ref));
  for (const ref of own) {
    const parsed = kindOf(ref);
    if (parsed?.kind === 'commitmeta') await keepIf(ref, live.hasCommit(parsed.commit));
  }
  return dead;
}

/** Every checkpoint makes the first-level link anew; the ref itself stays as it is. */
function isRecent(repo: Repository, { ref, target }: OwnRef): boolean {
  const times = [repo.streams.refChangedAt(ref), repo.streams.linkChangedAt(target)];
  return Date.now() - Math.max(...times.map((time) => time ?? 0)) <= PARTIAL_LIFETIME_MS;
}

async function keepRoot(repo: Repository, live: LiveObjects, root: string, progress: Progress): Promise<void> {
  const because = `root ${root}`;
  const streams = isChecksum(root) ? [root, commitStreamName(root)] : [root];
  let found = false;
  for (const name of streams) {
    if ((await repo.streams.resolve(name)) === undefined) continue;
    found = true;
    await live.keepStreamName(name, because);
  }
  if ((await repo.images.resolve(root)) !== undefined) {
    found = true;
    await live.keepImageName(root, because);
  }
  if (!found) progress.warn(`${root}: no such stream, image or commit here`);
}
