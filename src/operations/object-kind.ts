/** What an object is, where only its id is known: named refs may lead to streams, images or anything else. */

import { closeSync, readSync } from 'node:fs';
import { isErofsImage } from '../formats/erofs/reader.ts';
import type { ObjectId } from '../formats/ids.ts';
import { isSplitstream } from '../formats/splitstream.ts';
import type { ObjectStore } from '../store/objects.ts';

export type ObjectKind = 'stream' | 'image' | 'other';

/** Both magic numbers lie in the first bytes; the EROFS superblock starts at 1024. */
const HEAD_BYTES = 4096;

/**
 * Told by the magic number alone, nothing is verified.
 * @throws MissingObjectError; FormatError when the object is no regular file
 */
export function peekObjectKind(objects: ObjectStore, id: ObjectId): ObjectKind {
  const { fd } = objects.openUnverifiedSync(id);
  try {
    const head = new Uint8Array(HEAD_BYTES);
    return objectKind(head.subarray(0, readSync(fd, head, 0, HEAD_BYTES, 0)));
  } finally {
    closeSync(fd);
  }
}

function objectKind(bytes: Uint8Array): ObjectKind {
  if (isSplitstream(bytes)) return 'stream';
  return isErofsImage(bytes) ? 'image' : 'other';
}
