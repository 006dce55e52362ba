/** What an object is, where only its id is known: named refs may lead to streams, images or anything else. */

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
export async function peekObjectKind(objects: ObjectStore, id: ObjectId): Promise<ObjectKind> {
  const { handle } = await objects.openUnverified(id);
  try {
    const head = new Uint8Array(HEAD_BYTES);
    const { bytesRead } = await handle.read(head, 0, HEAD_BYTES, 0);
    return objectKind(head.subarray(0, bytesRead));
  } finally {
    await handle.close();
  }
}

function objectKind(bytes: Uint8Array): ObjectKind {
  if (isSplitstream(bytes)) return 'stream';
  return isErofsImage(bytes) ? 'image' : 'other';
}
