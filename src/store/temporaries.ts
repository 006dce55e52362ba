/** Names of temporaries. Whoever holds the exclusive lock may remove every one of them: no writer is alive. */

/** In `objects/` (composefs-rs 0.9, where the file system has no unnamed temporaries). */
export const TEMPORARY_OBJECT_PREFIX = '.tmp-object-';
/** In the repository root (composefs-rs 0.9): a symlink about to replace another one. */
export const TEMPORARY_LINK_PREFIX = '.symlink-';
/** In the repository root, ours: `meta.json` before it gets its name. */
export const TEMPORARY_METADATA_PREFIX = '.tmp-meta-';

const ALPHABET = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';
const SUFFIX_CHARACTERS = 12;
/** Names to try before giving up; one is always enough unless somebody plays games. */
export const TEMPORARY_NAME_TRIES = 16;

export function temporaryName(prefix: string): string {
  const { randomInt } = process.getBuiltinModule('node:crypto'); // not imported: few commands need it
  let name = prefix;
  for (let i = 0; i < SUFFIX_CHARACTERS; i++) name += ALPHABET[randomInt(ALPHABET.length)];
  return name;
}

export const isTemporaryObjectName = (name: string): boolean => name.startsWith(TEMPORARY_OBJECT_PREFIX);
export const isTemporaryRootName = (name: string): boolean =>
  name.startsWith(TEMPORARY_LINK_PREFIX) || name.startsWith(TEMPORARY_METADATA_PREFIX);
