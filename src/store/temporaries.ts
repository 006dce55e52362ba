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

/**
 * Different from all others, but no secret: whoever may put something in its place may replace the repository as well, and what takes
 * such a name must not exist. To load node:crypto for a better one would take 8 ms of every command that writes.
 */
export function temporaryName(prefix: string): string {
  let name = prefix;
  for (let i = 0; i < SUFFIX_CHARACTERS; i++) name += ALPHABET[Math.floor(Math.random() * ALPHABET.length)];
  return name;
}

export const isTemporaryObjectName = (name: string): boolean => name.startsWith(TEMPORARY_OBJECT_PREFIX);
export const isTemporaryRootName = (name: string): boolean =>
  name.startsWith(TEMPORARY_LINK_PREFIX) || name.startsWith(TEMPORARY_METADATA_PREFIX);
