/** What a tree may hold so that an image of a given version can hold it too. */

import type { ByteString } from '../byte-string.ts';
import { digestBytes } from '../ids.ts';
import type { Inode, Leaf, Xattr } from '../tree.ts';
import {
  MAX_EXTERNAL_BYTES,
  MAX_INLINE_BYTES,
  MAX_INLINE_BYTES_V2,
  MAX_NAME_BYTES,
  MAX_PAYLOAD_BYTES,
  MAX_TARGET_BYTES,
  MAX_TARGET_BYTES_V2,
  MAX_U32,
  MAX_XATTR_NAME_BYTES,
  MAX_XATTR_VALUE_BYTES,
  MAX_XATTRS_BYTES,
} from './limits.ts';
import type { ErofsOptions } from './options.ts';
import { objectOfPath } from './overlay.ts';

/** Something that an image cannot hold. */
export interface TreeProblem {
  field: string;
  problem: string;
  /** Well-formed, but too large. */
  isLimit?: true;
}

/** What is wrong with a file name; undefined: nothing. */
export function nameProblem(name: ByteString): TreeProblem | undefined {
  const bad = (problem: string): TreeProblem => ({ field: 'name', problem });
  if (name === '') return bad('is empty');
  if (name.length > MAX_NAME_BYTES) return tooLong('name', name.length, MAX_NAME_BYTES);
  if (name === '.' || name === '..') return bad(`${JSON.stringify(name)} is not a name`);
  if (name.includes('/')) return bad('contains a slash');
  if (name.includes('\0')) return bad('contains a NUL');
  return undefined;
}

/** What is wrong with the metadata that every inode has; undefined: nothing. */
export function metadataProblem(inode: Inode, { version }: ErofsOptions): TreeProblem | undefined {
  if (!(inode.permissions >= 0 && inode.permissions <= 0o7777))
    return { field: 'mode', problem: `${inode.permissions} has more than permission bits` };
  if (!isU32(inode.uid)) return notU32('uid', inode.uid);
  if (!isU32(inode.gid)) return notU32('gid', inode.gid);
  if (BigInt.asIntN(64, inode.mtimeSeconds) !== inode.mtimeSeconds)
    return { field: 'mtime', problem: `${inode.mtimeSeconds} does not fit in 64 bits` };
  if (!(Number.isInteger(inode.mtimeNanoseconds) && inode.mtimeNanoseconds >= 0 && inode.mtimeNanoseconds < 1e9))
    return { field: 'mtime', problem: `${inode.mtimeNanoseconds} is not a number of nanoseconds below 10^9` };
  return inode.xattrs.length === 0 ? undefined : xattrsProblem(inode.xattrs, version !== 2);
}

/** @param limitsTotal as libcomposefs does, for dumpfiles and versions 0 and 1 */
export function xattrsProblem(xattrs: readonly Xattr[], limitsTotal: boolean): TreeProblem | undefined {
  let total = 12;
  const seen = new Set<ByteString>();
  for (const { name, value } of xattrs) {
    if (name === '') return { field: 'xattr name', problem: 'is empty' };
    // composefs-rs keeps the NUL that ends a name in ostree objects; such images are read and written as they are
    if (name.slice(0, -1).includes('\0') || name === '\0') return { field: 'xattr name', problem: 'contains a NUL' };
    if (name.length > MAX_XATTR_NAME_BYTES) return tooLong('xattr name', name.length, MAX_XATTR_NAME_BYTES);
    if (value.length > MAX_XATTR_VALUE_BYTES) return tooLong('xattr value', value.length, MAX_XATTR_VALUE_BYTES);
    if (seen.has(name)) return { field: 'xattr name', problem: `${JSON.stringify(name)} is there twice` };
    seen.add(name);
    total += 7 + name.length + value.length;
  }
  return limitsTotal && total > MAX_XATTRS_BYTES ? tooLong('xattrs', total, MAX_XATTRS_BYTES) : undefined;
}

/** What is wrong with an inode that is not a directory, its metadata aside; undefined: nothing. */
export function leafProblem(inode: Leaf, options: ErofsOptions): TreeProblem | undefined {
  const { version, algorithm } = options;
  if (inode.nlink !== undefined && !isU32(inode.nlink)) return notU32('nlink', inode.nlink);
  switch (inode.kind) {
    case 'file':
      return contentProblem(inode.content.length, options);
    case 'symlink':
      return targetProblem(inode.target, maxTargetBytes(options));
    case 'external':
      if (!(Number.isInteger(inode.sizeBytes) && inode.sizeBytes >= 0))
        return { field: 'size', problem: `${inode.sizeBytes} is not a size` };
      if (inode.digest !== undefined && inode.digest.length !== 2 * digestBytes(algorithm))
        return { field: 'digest', problem: `of ${inode.digest.length} hex digits is not a ${algorithm} digest` };
      if (inode.sizeBytes > MAX_EXTERNAL_BYTES) return tooLong('size', inode.sizeBytes, MAX_EXTERNAL_BYTES);
      if (inode.payload === undefined) return undefined;
      if (version === 2 && inode.digest === undefined && objectOfPath(inode.payload, algorithm) === undefined)
        return { field: 'payload', problem: 'is no object path, as version 2 needs it' };
      return payloadProblem(inode.payload);
    case 'character':
    case 'block':
      return isU32(inode.rdev) ? undefined : notU32('rdev', inode.rdev);
    default:
      return undefined;
  }
}

/** Of a file that is kept in the image. */
export const contentProblem = (bytes: number, { version }: ErofsOptions): TreeProblem | undefined =>
  atMost('content', bytes, version === 2 ? MAX_INLINE_BYTES_V2 : MAX_INLINE_BYTES);

export const maxTargetBytes = ({ version }: ErofsOptions): number =>
  version === 2 ? MAX_TARGET_BYTES_V2 : MAX_TARGET_BYTES;

export function targetProblem(target: ByteString, maxBytes: number): TreeProblem | undefined {
  if (target === '') return { field: 'target', problem: 'is empty' };
  if (target.includes('\0')) return { field: 'target', problem: 'contains a NUL' };
  return atMost('target', target.length, maxBytes);
}

/**
 * What is wrong with a path under which a body is to be found, relative to the object directory; undefined: nothing.
 * Leading slashes are kept by some writers and mean nothing.
 */
export function payloadProblem(payload: ByteString): TreeProblem | undefined {
  const bad = (problem: string): TreeProblem => ({ field: 'payload', problem });
  if (payload.length > MAX_PAYLOAD_BYTES) return tooLong('payload', payload.length, MAX_PAYLOAD_BYTES);
  if (payload.includes('\0')) return bad('contains a NUL');
  const start = payload.search(/[^/]/);
  if (start < 0) return bad('names no file');
  for (const part of payload.slice(start).split('/')) {
    if (part === '') return bad('has an empty component');
    if (part === '.' || part === '..') return bad(`has a component ${JSON.stringify(part)}`);
  }
  return undefined;
}

const isU32 = (value: number): boolean => Number.isInteger(value) && value >= 0 && value <= MAX_U32;
const notU32 = (field: string, value: number): TreeProblem => ({ field, problem: `${value} does not fit in 32 bits` });
const tooLong = (field: string, length: number, most: number): TreeProblem => ({
  field,
  problem: `has ${length} bytes, ${most} are allowed`,
  isLimit: true,
});
const atMost = (field: string, length: number, most: number): TreeProblem | undefined =>
  length > most ? tooLong(field, length, most) : undefined;
