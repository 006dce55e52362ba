/** From a refusal of the ingest engine to an error that names object and field. */

import { closeSync, constants, openSync, readSync } from 'node:fs';
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
import { HEADER_PREFIX_BYTES, parseArchiveHeader, parseOstreemeta } from '../formats/ostree/file-header.ts';
import { MAX_HEADER_BYTES } from '../formats/ostree/limits.ts';
import { type IngestBatch, ingestStatusName, ingestStepName, native, systemError } from '../native.ts';
import { explainReadError } from './regular-file.ts';

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

/** One object that was handed in. */
export interface Refused {
  checksum: Checksum;
  body: FileBody;
  /** Of a body in chunks: its first one. */
  head?: Uint8Array;
  /** The source, where the body does not name a file itself. */
  source: Where;
}

/** The header is parsed again: that tells more than a status. */
export function refusalError(batch: IngestBatch, i: number, refused: Refused, objectsRoot: string): unknown {
  const { checksum, body, source } = refused;
  const name = ingestStatusName(batch.status[i]);
  const where: Where = {
    ...source,
    ...(body.form === 'local' ? { file: body.path } : {}),
    object: `${checksum}.file`,
  };
  if (name === 'systemCall') return systemCallError(batch, i, where, objectsRoot);
  if (name === 'closed') return new Error('the ingest engine was closed');
  if (name === 'checksumDiffers') {
    const found = batch.checksums?.subarray(32 * i, 32 * (i + 1));
    return new DigestMismatchError(checksum, found === undefined ? 'another' : objectIdFromBytes(found), where);
  }
  if (name === 'damagedObject')
    return new FormatError('a directory lies under the name of its content; run `cfs-ostree fsck`', where);
  if (name === 'verityDiffers')
    return new FormatError('the kernel measures another fs-verity digest than was computed', where);
  const wrongHeader = findHeaderError(refused, where);
  if (wrongHeader !== undefined) return wrongHeader;
  const [field, problem] = PROBLEMS[name] ?? ['object', `was refused (${name})`];
  return new FormatError(problem, { ...where, field });
}

/** What the portable parser says of the header; undefined when it finds nothing wrong, or cannot have it. */
function findHeaderError({ body, head }: Refused, where: Where): CfsError | undefined {
  try {
    if (body.form === 'archive') parseArchiveHeader(body.bytes, where);
    else if (body.form === 'archive-chunks') {
      if (head !== undefined && holdsHeader(head)) parseArchiveHeader(head, where);
    } else if (body.mode === 'archive') parseArchiveHeader(readHead(body.path), where);
    else if (body.mode === 'bare-user') parseOwnAttribute(body.path, where);
    return undefined;
  } catch (error) {
    if (error instanceof CfsError) return error;
    if (error instanceof Error && 'syscall' in error) return undefined; // gone meanwhile: the status has to do
    throw error;
  }
}

/** Whether the variant ends within these bytes, or is of a size that no header has. */
function holdsHeader(bytes: Uint8Array): boolean {
  if (bytes.length < HEADER_PREFIX_BYTES) return false;
  const variantBytes = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, false);
  return variantBytes > MAX_HEADER_BYTES || HEADER_PREFIX_BYTES + variantBytes <= bytes.length;
}

function readHead(path: string): Uint8Array {
  const head = new Uint8Array(HEADER_PREFIX_BYTES + MAX_HEADER_BYTES);
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    let size = 0;
    for (let got = -1; got !== 0 && size < head.length; size += got)
      got = readSync(fd, head, size, head.length - size, null);
    return head.subarray(0, size);
  } finally {
    closeSync(fd);
  }
}

function parseOwnAttribute(path: string, where: Where): void {
  const attribute = native?.lgetxattr(path, 'user.ostreemeta');
  if (attribute === null) throw new FormatError('is missing', { ...where, field: 'user.ostreemeta' });
  if (attribute !== undefined) parseOstreemeta(attribute, where);
}

function systemCallError(batch: IngestBatch, i: number, where: Where, objectsRoot: string): unknown {
  const step = ingestStepName(batch.steps[i]);
  const error = systemError(batch.errno[i], step);
  if (step.includes('existing')) return explainReadError(error, { ...where, file: objectsRoot });
  if (!step.includes('source')) return explainWriteError(error, { ...where, file: objectsRoot });
  if (error.code === 'ENOENT') return new MissingObjectError('is missing at the source', where, { cause: error });
  if (error.code === 'ELOOP' || error.code === 'EISDIR' || error.code === 'ENODATA')
    return new FormatError('is not what a repository of this mode keeps', where, { cause: error });
  return new SourceError('cannot be read', where, { cause: error });
}
