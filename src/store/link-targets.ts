/** The only link texts that are written, and the only ones that are understood (composefs-rs 0.9, `symlink_impl`). */

import { type Algorithm, isObjectId, type ObjectId, objectRelativePath } from '../formats/ids.ts';
import { REFS_DIRECTORY } from './names.ts';

const OBJECT_TARGET_PREFIX = '../objects/';

/** Of a first-level link. */
export const objectTarget = (id: ObjectId): string => `${OBJECT_TARGET_PREFIX}${objectRelativePath(id)}`;

export function objectOfTarget(linkText: string, algorithm: Algorithm): ObjectId | undefined {
  const path = linkText.slice(OBJECT_TARGET_PREFIX.length);
  const id = path.slice(0, 2) + path.slice(3);
  return isObjectId(id, algorithm) && objectTarget(id) === linkText ? id : undefined;
}

/** A ref `a/b` lies one level deeper than a ref `a` and climbs one level more. */
export const refTarget = (refPath: string, name: string): string => `${'../'.repeat(refPath.split('/').length)}${name}`;

/** The first-level name that a ref's link text is. */
export function nameOfRefTarget(refPath: string, linkText: string): string | undefined {
  const climb = refTarget(refPath, '');
  const name = linkText.slice(climb.length);
  const isName = name !== '' && name !== '.' && name !== '..' && name !== REFS_DIRECTORY && !name.includes('/');
  return linkText.startsWith(climb) && isName ? name : undefined;
}
