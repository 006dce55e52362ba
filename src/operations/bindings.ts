/** Whether a commit may be served under the ref that was asked for (ostree-pull §10.1 rules of libostree 2026.4). */

import { UntrustedError, type Where } from '../errors.ts';
import { type Commit, collectionBinding, refBindings } from '../formats/ostree/commit.ts';

/**
 * @param ref the requested ref; none for pulls by checksum
 * @param collectionId the source's collection id, if it has one
 * @throws UntrustedError
 */
export function verifyBindings(
  commit: Commit,
  ref: string | undefined,
  collectionId: string | undefined,
  where: Where,
): void {
  const refs = refBindings(commit);
  if (refs === undefined) {
    if (collectionId === undefined) return;
    throw new UntrustedError('has no ref binding although the source has a collection id', where);
  }
  if (ref !== undefined && !refs.includes(ref)) {
    const bound = refs.map((name) => JSON.stringify(name)).join(', ') || 'no ref';
    throw new UntrustedError(`is not bound to the requested ref ${JSON.stringify(ref)} (bound to ${bound})`, {
      ...where,
      field: 'ostree.ref-binding',
    });
  }
  if (collectionId === undefined) return;
  const collection = collectionBinding(commit);
  if (collection !== collectionId)
    throw new UntrustedError(
      `is bound to ${collection === undefined ? 'no collection' : `collection ${collection}`}, the source is ${collectionId}`,
      { ...where, field: 'ostree.collection-binding' },
    );
}
