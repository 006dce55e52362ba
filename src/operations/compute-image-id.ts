/** The id of an image that is not stored: of a stored commit, a dumpfile, or an image file. */

import { ErofsImage } from '../formats/erofs/reader.ts';
import { type Algorithm, type ObjectId, objectIdFromBytes } from '../formats/ids.ts';
import { nodeHashing } from '../native.ts';
import type { ErofsVersion } from './create-image.ts';
import { algorithmOfTree } from './list-images.ts';
import { readWhole } from './resolve-tree.ts';

export interface ImageId {
  image: ObjectId;
  erofsVersion: ErofsVersion;
}

/**
 * The fs-verity digest of an image file; what it holds must be an image.
 * @param algorithm default: that of the digests inside, else sha512
 */
export async function computeIdOfImageFile(path: string, algorithm?: Algorithm): Promise<ImageId> {
  const bytes = await readWhole(path, { file: path });
  const image = ErofsImage.open(bytes, { file: path });
  const chosen = algorithm ?? algorithmOfTree(image.readTree()) ?? 'sha512';
  return { image: objectIdFromBytes(nodeHashing.fsVerity(chosen, bytes)), erofsVersion: image.version };
}
