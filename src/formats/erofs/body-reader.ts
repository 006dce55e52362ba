/** What an inode holds: content, target, or where its body is, and the xattrs of an inode as they were given when the image was made. */

import { type ByteString, byteStringFromBytes } from '../byte-string.ts';
import { type Algorithm, idToBytes, type ObjectId, objectIdFromBytes } from '../ids.ts';
import { joined } from '../owned-bytes.ts';
import type { Xattr } from '../tree.ts';
import type { ImageInode, InodeReader } from './inode-reader.ts';
import { Layout } from './layout.ts';
import { MAX_XATTR_NAME_BYTES } from './limits.ts';
import {
  ESCAPED_PREFIX,
  isPathOfDigest,
  METACOPY,
  OVERLAY_PREFIX,
  objectOfPath,
  parseMetacopy,
  REDIRECT,
  ROOT_OPAQUE,
  ROOT_OPAQUE_VALUE,
} from './overlay.ts';
import { payloadProblem } from './tree-check.ts';

export interface Body {
  payload?: ByteString;
  digest?: ObjectId;
}

/** The same as views of the image: for whoever need not have strings for a million of them. */
export interface StoredBody {
  payload?: Uint8Array;
  digest?: Uint8Array;
  /** `payload` is the path of the object with `digest`. */
  isOwnPath: boolean;
}

export const isExternal = ({ layout }: ImageInode): boolean => layout === Layout.chunked;

/** @throws FormatError unless the inode's overlay xattrs say where its body is, or that it has none */
export function readBody(reader: InodeReader, inode: ImageInode): Body {
  const { payload, digest } = readStoredBody(reader, inode);
  return {
    ...(payload && { payload: byteStringFromBytes(payload) }),
    ...(digest && { digest: objectIdFromBytes(digest) }),
  };
}

/** @throws as readBody */
export function readStoredBody(reader: InodeReader, { xattrs, offset }: ImageInode): StoredBody {
  const metacopy = xattrs.find(({ name }) => name === METACOPY);
  const redirect = xattrs.find(({ name }) => name === REDIRECT);
  if (metacopy === undefined) return reader.fail('xattr', offset, `an external file without ${METACOPY}`);
  const body: StoredBody = { isOwnPath: false };
  if (metacopy.value.length > 0) {
    const parsed = parseMetacopy(metacopy.value);
    if ('problem' in parsed) return reader.fail(METACOPY, offset, `a value that ${parsed.problem}`);
    body.digest = parsed.digest;
  }
  if (redirect !== undefined) {
    if (redirect.value[0] !== SLASH) reader.fail(REDIRECT, offset, 'is not absolute');
    body.payload = redirect.value.subarray(1);
    body.isOwnPath = body.digest !== undefined && isPathOfDigest(body.payload, body.digest);
    const problem = body.isOwnPath ? undefined : payloadProblem(byteStringFromBytes(body.payload));
    if (problem !== undefined) reader.fail(REDIRECT, offset, problem.problem);
  }
  return body;
}

const SLASH = 0x2f;

/** A view of the image where the content is in one piece. */
export function contentOf(reader: InodeReader, inode: ImageInode): Uint8Array {
  const { blocks, tail } = reader.dataOf(inode);
  if (tail.length === 0) return blocks;
  return blocks.length === 0 ? tail : joined([blocks, tail]);
}

/** Of a symlink. */
export function targetOf(reader: InodeReader, inode: ImageInode): Uint8Array {
  const target = contentOf(reader, inode);
  if (target.includes(0)) reader.fail('symlink target', inode.offset, 'contains a NUL');
  return target;
}

/** The object that the body's path names, if it is another than that of its digest. @returns its raw digest */
export function otherObject({ payload, digest, isOwnPath }: StoredBody, algorithm: Algorithm): Uint8Array | undefined {
  if (payload === undefined || isOwnPath) return undefined;
  const named = objectOfPath(byteStringFromBytes(payload), algorithm);
  return named === undefined || (digest !== undefined && named === objectIdFromBytes(digest))
    ? undefined
    : idToBytes(named);
}

/** The xattrs without what makes the inode a part of an overlay, and with the names that were escaped for it. */
export function givenXattrs(reader: InodeReader, inode: ImageInode, isRoot: boolean): Xattr[] {
  const hasOpaqueRoot = isRoot && reader.header.version !== 2;
  let isOpaque = false;
  const given: Xattr[] = [];
  for (const xattr of inode.xattrs) {
    const { name, value } = xattr;
    if (!name.startsWith(OVERLAY_PREFIX)) {
      given.push(xattr);
    } else if (name.startsWith(ESCAPED_PREFIX)) {
      given.push({ name: (OVERLAY_PREFIX + name.slice(ESCAPED_PREFIX.length)) as ByteString, value });
    } else if (hasOpaqueRoot && name === ROOT_OPAQUE && byteStringFromBytes(value) === ROOT_OPAQUE_VALUE) {
      isOpaque = true;
    } else if (!isExternal(inode) || (name !== METACOPY && name !== REDIRECT)) {
      reader.fail('xattr', inode.offset, `${JSON.stringify(name)} does not belong here`);
    }
  }
  if (hasOpaqueRoot && !isOpaque)
    reader.fail('xattr', inode.offset, `the root has no ${ROOT_OPAQUE}=${ROOT_OPAQUE_VALUE}`);
  for (const { name } of given)
    if (name.length > MAX_XATTR_NAME_BYTES)
      reader.fail('xattr.name', inode.offset, `has ${name.length} bytes, ${MAX_XATTR_NAME_BYTES} are allowed`);
  return given;
}
