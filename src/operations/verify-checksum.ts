import { DigestMismatchError, type Where } from '../errors.ts';
import { type Checksum, toHex } from '../formats/ids.ts';
import { nodeHashing } from '../native.ts';

/** @throws DigestMismatchError unless the bytes are those that `checksum` names */
export function verifyChecksum(bytes: Uint8Array, checksum: Checksum, where: Where): void {
  const actual = toHex(nodeHashing.sha256(bytes));
  if (actual !== checksum) throw new DigestMismatchError(checksum, actual, where);
}
