/** Names below `streams/` and `images/`, judged before any of them reaches the file system. */

import { UsageError, type Where } from '../errors.ts';

/** Linux NAME_MAX, in bytes of UTF-8. */
export const MAX_COMPONENT_BYTES = 255;
/** Linux PATH_MAX is 4096 with the repository's own path in front; a ref path gets half of it, in bytes of UTF-8. */
export const MAX_REF_PATH_BYTES = 2048;
/** Directory of refs inside `streams/` and `images/`; no first-level entry may have this name. */
export const REFS_DIRECTORY = 'refs';

/**
 * A first-level entry of `streams/` or `images/`: one path component, not `refs`.
 * @throws UsageError
 */
export function checkFirstLevelName(name: string, where: Where): void {
  checkComponent(name, name, where);
  if (name === REFS_DIRECTORY) throw new UsageError('"refs" is the directory of refs, not a name', where);
}

/**
 * A ref relative to `refs/`, components joined with `/`.
 * @throws UsageError
 */
export function checkRefPath(refPath: string, where: Where): void {
  if (Buffer.byteLength(refPath) > MAX_REF_PATH_BYTES)
    throw new UsageError(`the ref name is longer than ${MAX_REF_PATH_BYTES} bytes`, where);
  for (const component of refPath.split('/')) checkComponent(component, refPath, where);
}

function checkComponent(component: string, name: string, where: Where): void {
  const refuse = (problem: string): never => {
    throw new UsageError(`${JSON.stringify(name)} ${problem}`, where);
  };
  if (component === '') refuse('has an empty part');
  if (component === '.' || component === '..') refuse('has a part "." or ".."');
  if (component.includes('/')) refuse('contains a slash');
  if (component.includes('\0')) refuse('contains a zero byte');
  if (!component.isWellFormed()) refuse('is not valid Unicode'); // would silently become another name on disk
  if (Buffer.byteLength(component) > MAX_COMPONENT_BYTES)
    refuse(`has a part longer than ${MAX_COMPONENT_BYTES} bytes as it is stored`);
}
