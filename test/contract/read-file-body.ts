/**
 * A plain second reader of file objects in every repository mode, to check what sources hand out: puts the hashed stream of libostree
 * (header, then content) together and hashes it. Python reads the xattrs, which Node cannot.
 */

import { createHash } from 'node:crypto';
import { lstat, readFile, readlink } from 'node:fs/promises';
import { inflateRawSync } from 'node:zlib';
import { type ByteString, byteStringFromBytes, byteStringFromText } from '../../src/formats/byte-string.ts';
import type { FileBody } from '../../src/formats/file-body.ts';
import { fromHex } from '../../src/formats/ids.ts';
import {
  type FileHeader,
  isSymlink,
  parseArchiveHeader,
  parseOstreemeta,
  serializeContentHeader,
} from '../../src/formats/ostree/file-header.ts';
import { parseXattrs } from '../../src/formats/ostree/xattrs.ts';
import type { Xattr } from '../../src/formats/tree.ts';
import { getPeer } from '../support/peers.ts';
import { runChecked } from '../support/run-command.ts';

/** Path → xattrs with values that are not empty, as ostree takes them. */
export type XattrTable = Map<string, Xattr[]>;

const LIST_XATTRS = `
import json, os, sys
def xattrs(path):
    names = os.listxattr(path, follow_symlinks=False)
    return [[os.fsencode(n).hex(), os.getxattr(path, n, follow_symlinks=False).hex()] for n in names]
print(json.dumps({path: xattrs(path) for path in json.load(sys.stdin)}))`;

export async function readXattrs(paths: string[]): Promise<XattrTable> {
  const { stdout } = await runChecked(getPeer('python3'), ['-c', LIST_XATTRS], { input: JSON.stringify(paths) });
  const table: XattrTable = new Map();
  for (const [path, pairs] of Object.entries(JSON.parse(stdout) as Record<string, [string, string][]>)) {
    const xattrs = pairs
      .filter(([, value]) => value !== '')
      .map(([name, value]) => ({ name: byteStringFromBytes(fromHex(name)), value: fromHex(value) }));
    table.set(
      path,
      xattrs.sort((a, b) => (a.name < b.name ? -1 : 1)),
    );
  }
  return table;
}

/** The checksum that a body should have been asked for by. */
export async function checksumOfBody(body: FileBody, xattrs: XattrTable): Promise<string> {
  const { header, content } = await readFileBody(body, xattrs);
  return createHash('sha256').update(serializeContentHeader(header)).update(content).digest('hex');
}

interface FileObject {
  header: FileHeader;
  content: Uint8Array;
}

const NO_CONTENT = new Uint8Array(0);
const NO_TARGET = '' as ByteString;

async function readFileBody(body: FileBody, xattrs: XattrTable): Promise<FileObject> {
  if (body.form === 'archive') return parseArchive(body.bytes);
  if (body.form === 'archive-chunks') {
    const chunks: Uint8Array[] = [];
    for await (const chunk of body.chunks) chunks.push(chunk);
    return parseArchive(Buffer.concat(chunks));
  }
  switch (body.mode) {
    case 'archive':
      return parseArchive(await readFile(body.path));
    case 'bare-user':
      return readBareUser(body.path, xattrs);
    case 'bare':
      return readInode(body.path, xattrs.get(body.path) ?? []);
    case 'bare-user-only': {
      const { header, content } = await readInode(body.path, []);
      return { header: { ...header, uid: 0, gid: 0 }, content };
    }
    case 'bare-split-xattrs': {
      const bytes = await readFile(body.xattrsPath ?? '');
      return readInode(body.path, parseXattrs(bytes, 0, bytes.length, 'canonical', {}));
    }
  }
}

function parseArchive(bytes: Uint8Array): FileObject {
  const { header, sizeBytes, headerBytes } = parseArchiveHeader(bytes, {});
  if (isSymlink(header)) return { header, content: NO_CONTENT };
  const content = inflateRawSync(bytes.subarray(headerBytes));
  if (content.length !== sizeBytes) throw new Error(`${content.length} bytes instead of ${sizeBytes}`);
  return { header, content };
}

async function readBareUser(path: string, xattrs: XattrTable): Promise<FileObject> {
  const attribute = xattrs.get(path)?.find(({ name }) => name === 'user.ostreemeta');
  if (attribute === undefined) throw new Error(`${path} has no user.ostreemeta`);
  const inode = parseOstreemeta(attribute.value, {});
  const content = await readFile(path);
  if (!isSymlink(inode)) return { header: { ...inode, target: NO_TARGET }, content };
  return { header: { ...inode, target: byteStringFromBytes(content.subarray(0, -1)) }, content: NO_CONTENT };
}

async function readInode(path: string, xattrs: Xattr[]): Promise<FileObject> {
  const { uid, gid, mode } = await lstat(path);
  const header = { uid, gid, mode, xattrs, target: NO_TARGET };
  if (!isSymlink(header)) return { header, content: await readFile(path) };
  return { header: { ...header, target: byteStringFromText(await readlink(path)) }, content: NO_CONTENT };
}
