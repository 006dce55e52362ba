/** Where the body of a chunk-based file is, and the xattrs of an inode as they were given when the image was made. */

import { type ByteString, byteStringFromBytes } from '../byte-string.ts';
import type { ObjectId } from '../ids.ts';
import type { Xattr } from '../tree.ts';
import type { ImageInode, InodeReader } from './inode-reader.ts';
import { Layout } from './layout.ts';
import { MAX_XATTR_NAME_BYTES } from './limits.ts';
import {
  ESCAPED_PREFIX,
  METACOPY,
  OVERLAY_PREFIX,
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

export const isExternal = ({ layout }: ImageInode): boolean => layout === Layout.chunked;

/** @throws FormatError unless the inode's overlay xattrs say where its body is, or that it has none */
export function readBody(reader: InodeReader, { xattrs, offset }: ImageInode): Body {
  const metacopy = xattrs.find(({ name }) => name === METACOPY);
  const redirect = xattrs.find(({ name }) => name === REDIRECT);
  if (metacopy === undefined) return reader.fail('xattr', offset, `an external file without ${METACOPY}`);
  const body: Body = {};
  if (metacopy.value.length > 0) {
    const parsed = parseMetacopy(metacopy.value);
    if ('problem' in parsed) return reader.fail(METACOPY, offset, `a value that ${parsed.problem}`);
    body.digest = parsed.digest;
  }
  if (redirect !== undefined) {
    const path = byteStringFromBytes(redirect.value);
    if (!path.startsWith('/')) reader.fail(REDIRECT, offset, 'is not absolute');
    const payload = path.slice(1) as ByteString;
    const problem = payloadProblem(payload);
    if (problem !== undefined) reader.fail(REDIRECT, offset, problem.problem);
    body.payload = payload;
  }
  return body;
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
