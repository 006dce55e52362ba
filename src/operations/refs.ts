/** Setting and dropping local names. */

import { ConflictError, FormatError, MissingObjectError, NotFoundError } from '../errors.ts';
import { type Checksum, isObjectId, type ObjectId } from '../formats/ids.ts';
import { commitStreamName, ostreeRefPath } from '../store/ostree-refs.ts';
import { publish } from '../store/publish.ts';
import type { Repository } from '../store/repository.ts';
import { isWhole, openCommit } from './commit-reader.ts';
import { findRef, resolveCommit, streamsWithRef } from './resolve-name.ts';
import { checkTypedRef } from './typed-ref.ts';

export interface TagReport {
  ref: string;
  commit: Checksum;
}

export interface UntagReport {
  ref: string;
  /** What the name stood for, where that was sound. */
  commit?: Checksum;
  /** For a name of an image. */
  image?: ObjectId;
}

/**
 * Gives a stored commit one more name.
 * @param source ref, commit or unique prefix, with `^` for parents
 * @throws ConflictError when the name stands for another commit; NotFoundError, UsageError
 */
export async function tagRef(repo: Repository, source: string, name: string): Promise<TagReport> {
  checkTypedRef(name, 'name');
  await repo.requireWritable();
  const commit = await resolveCommit(repo, source);
  if ((await repo.streams.resolve(commitStreamName(commit))) === undefined)
    throw new NotFoundError('this commit is not stored here', { object: `${commit}.commit` });
  if (
    !(await streamsWithRef(repo)).has(commitStreamName(commit)) &&
    !(await isWhole(repo, await openCommit(repo, commit)))
  )
    throw new MissingObjectError('objects of this commit are missing here; pull it again', {
      object: `${commit}.commit`,
    });
  const before = await findRef(repo, name);
  if (before !== undefined && before !== commit)
    throw new ConflictError(
      `the ref ${name} is there already, for commit ${before}; \`cfs-ostree untag ${name}\` drops it`,
    );
  if (before === undefined)
    await publish(repo, { streamRefs: [{ ref: ostreeRefPath(name), name: commitStreamName(commit) }] });
  return { ref: name, commit };
}

/**
 * Drops the ref of a commit, or else the name of an image. What it stood for stays until gc.
 * @throws NotFoundError when nothing has that name
 */
export async function untagRef(repo: Repository, name: string): Promise<UntagReport> {
  await repo.requireWritable();
  const commit = await orUndefinedIfDamaged(findRef(repo, name));
  if (await repo.streams.removeRef(ostreeRefPath(name)))
    return { ref: name, ...(commit === undefined ? {} : { commit }) };
  const image = await orUndefinedIfDamaged(repo.images.resolveRef(name));
  if (await repo.images.removeRef(name))
    return { ref: name, ...(image !== undefined && isObjectId(image, repo.algorithm) ? { image } : {}) };
  throw new NotFoundError(`no ref ${JSON.stringify(name)} here; see \`cfs-ostree refs\` and \`cfs-ostree images\``);
}

/** A ref that leads nowhere sensible must still be possible to drop. */
const orUndefinedIfDamaged = <T>(found: Promise<T | undefined>): Promise<T | undefined> =>
  found.catch((error: unknown) => {
    if (error instanceof FormatError) return undefined;
    throw error;
  });
