/** Batches in a form that tests can compare. */

import { type Algorithm, digestBytes, toHex } from '../../src/formats/ids.ts';
import { type IngestBatch, IngestHow, ingestStatusName, type NativeAddon, native } from '../../src/native.ts';

export const addon: NativeAddon = native ?? missing();
function missing(): never {
  throw new Error('these tests are about the native addon, which is not built: node scripts/install.js');
}

export interface Row {
  status: string;
  errno: number;
  step: string;
  how: string;
  /** Hex; of inline and refused objects all zero. */
  id: string;
  size: number;
  sha256Id?: string;
  checksum: string;
  data: Uint8Array;
}

const HOW_NAMES = Object.keys(IngestHow);

export function rowsOf(batch: IngestBatch, algorithm: Algorithm): Row[] {
  const idBytes = digestBytes(algorithm);
  const cell = (column: Uint8Array, bytes: number, i: number): string =>
    toHex(column.subarray(i * bytes, (i + 1) * bytes));
  return Array.from(batch.status, (status, i) => ({
    status: ingestStatusName(status),
    errno: batch.errno[i],
    step: addon.ingestSteps[batch.steps[i]],
    how: HOW_NAMES[batch.how[i]],
    id: cell(batch.ids, idBytes, i),
    size: batch.sizes[i],
    ...(batch.sha256Ids === undefined ? {} : { sha256Id: cell(batch.sha256Ids, 32, i) }),
    checksum: cell(batch.checksums, 32, i),
    data: batch.data.slice(batch.dataOffsets[i], batch.dataOffsets[i + 1]),
  }));
}
