/**
 * The text that composefs-info prints for an image, made independently of our own dumpfile writer: directory sizes,
 * stored link counts and the order of xattrs are those of the image.
 */

import { type ByteString, byteStringFromBytes } from '../../../src/formats/byte-string.ts';
import { escapeOptional, escapeText, escapeXattr } from '../../../src/formats/dumpfile-text.ts';
import type { ImageInode } from '../../../src/formats/erofs/inode-reader.ts';
import type { ErofsImage } from '../../../src/formats/erofs/reader.ts';
import { type Directory, type Inode, modeOf } from '../../../src/formats/tree.ts';

const DROPPED = new Set([
  'trusted.overlay.metacopy',
  'trusted.overlay.redirect',
  'trusted.overlay.opaque',
  'trusted.overlay.overlay.whiteout',
  'user.overlay.whiteout',
  'trusted.overlay.overlay.whiteouts',
  'user.overlay.whiteouts',
]);

export function infoDump(image: ErofsImage): string {
  const tree = image.readTree();
  const directories: Directory[] = [];
  const names: string[] = [];
  const firsts = new Map<number, { path: ByteString; stored: ImageInode }>();
  let text = '';
  for (const { name, depth, nid, inode: stored, isStub } of image.walk()) {
    if (isStub) continue;
    names.length = Math.max(depth - 1, 0);
    if (depth > 0) names.push(name);
    const path = `/${names.join('/')}` as ByteString;
    const inode: Inode = depth === 0 ? tree : (directories[depth - 1].entries.get(name) as Inode);
    if (inode.kind === 'directory') directories[depth] = inode;
    if (stored === undefined) {
      const first = firsts.get(nid) as { path: ByteString; stored: ImageInode };
      text += line(path, inode, first.stored, first.path);
    } else {
      firsts.set(nid, { path, stored });
      text += line(path, inode, stored, undefined);
    }
  }
  return text;
}

function line(path: ByteString, inode: Inode, stored: ImageInode, linkTo: ByteString | undefined): string {
  const rdev = inode.kind === 'character' || inode.kind === 'block' ? inode.rdev : 0;
  const payload = inode.kind === 'symlink' ? inode.target : inode.kind === 'external' ? inode.payload : undefined;
  const content = inode.kind === 'file' && inode.content.length > 0 ? byteStringFromBytes(inode.content) : undefined;
  const digest = inode.kind === 'external' ? inode.digest : undefined;
  const fields = [
    escapeText(path),
    stored.sizeBytes,
    (linkTo === undefined ? '' : '@') + modeOf(inode).toString(8),
    stored.nlink,
    inode.uid,
    inode.gid,
    rdev,
    `${inode.mtimeSeconds}.${inode.mtimeNanoseconds}`,
    escapeOptional(linkTo ?? payload),
    escapeOptional(content),
    digest ?? '-',
  ];
  for (const { name, value } of stored.xattrs) {
    if (DROPPED.has(name)) continue;
    const given = name.replace(/^trusted\.overlay\.overlay\./, 'trusted.overlay.') as ByteString;
    fields.push(`${escapeXattr(given)}=${escapeXattr(byteStringFromBytes(value))}`);
  }
  return `${fields.join(' ')}\n`;
}
