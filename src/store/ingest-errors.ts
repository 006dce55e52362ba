/** From a refusal of the ingest engine to an error that names object and field. */

import { getSystemErrorName } from 'node:util';
import {
  CfsError,
  DigestMismatchError,
  explainWriteError,
  FormatError,
  MissingObjectError,
  SourceError,
  type Where,
} from '../errors.ts';
import type { FileBody } from '../formats/file-body.ts';
import { type Checksum, objectIdFromBytes } from '../formats/ids.ts';
import { parseArchiveHeader } from '../formats/ostree/file-header.ts';
import { type IngestBatch, ingestStatusName, ingestStepName } from '../native.ts';

/** What each status of native/ingest-status.h means, with the field of the object that it speaks of. */
const PROBLEMS: Record<string, [field: string, problem: string]> = {
  headerLength: ['header', 'its length does not fit the object or the limit'],
  headerPadding: ['header', 'the padding is not zero'],
  headerForm: ['header', 'is not in GVariant normal form'],
  sizeRange: ['size', 'is implausibly large'],
  fileType: ['mode', 'is neither that of a regular file nor of a symlink'],
  modeBits: ['mode', 'has bits outside type and permissions'],
  rdev: ['rdev', 'is not 0'],
  target: ['target', 'is missing, too long, or given for a regular file'],
  xattrs: ['xattrs', 'are not sorted, unique, named and within the limits'],
  symlinkSize: ['size', 'is not 0 for a symlink'],
  deflate: ['content', 'is no raw deflate stream'],
  truncated: ['content', 'ends early'],
  sizeDiffers: ['size', 'is not that of the content'],
  trailingBytes: ['content', 'is followed by more bytes'],
  localForm: ['object', 'is not what a repository of this mode keeps'],
  localChanged: ['object', 'changed while it was read'],
};

/** @param body what was handed in; its header is parsed again where that tells more */
export function refusalError(
  batch: IngestBatch,
  i: number,
  checksum: Checksum,
  body: FileBody | undefined,
  objectsRoot: string,
): unknown {
  const name = ingestStatusName(batch.status[i]);
  const where: Where = {
    object: `${checksum}.file`,
    ...(body?.form === 'local' ? { file: body.path } : {}),
  };
  if (name === 'systemCall') return systemCallError(batch, i, where, objectsRoot);
  if (name === 'closed') return new Error('the ingest engine was closed');
  if (name === 'checksumDiffers') {
    const found = batch.checksums?.subarray(32 * i, 32 * (i + 1));
    return new DigestMismatchError(checksum, found === undefined ? 'another' : objectIdFromBytes(found), where);
  }
  if (name === 'damagedObject' || name === 'verityDiffers')
    return new FormatError(
      'the object that is stored under the name of its content is damaged; run `cfs-ostree fsck`',
      where,
    );
  if (body?.form === 'archive') {
    try {
      parseArchiveHeader(body.bytes, where); // names field and offset exactly, where the header is what is wrong
    } catch (error) {
      if (error instanceof CfsError) return error;
      throw error;
    }
  }
  const [field, problem] = PROBLEMS[name] ?? ['object', `was refused (${name})`];
  return new FormatError(problem, { ...where, field });
}

function systemCallError(batch: IngestBatch, i: number, where: Where, objectsRoot: string): unknown {
  const step = ingestStepName(batch.steps[i]);
  const error = Object.assign(new Error(`${step} failed`), {
    errno: -batch.errno[i],
    code: getSystemErrorName(-batch.errno[i]),
  });
  if (!step.includes('source')) return explainWriteError(error, { ...where, file: objectsRoot });
  if (error.code === 'ENOENT') return new MissingObjectError('is missing at the source', where, { cause: error });
  if (error.code === 'ELOOP' || error.code === 'EISDIR' || error.code === 'ENODATA')
    return new FormatError('is not what a repository of this mode keeps', where, { cause: error });
  return new SourceError('cannot be read', where, { cause: error });
}
