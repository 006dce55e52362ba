/** A tree of the model as real files. Needs root and a file system with extended attributes. */

import { chmod, chown, lchown, link, mkdir, symlink, writeFile } from 'node:fs/promises';
import { type ByteString, byteStringToBytes, byteStringToText } from '../../src/formats/byte-string.ts';
import type { Directory, Leaf, Xattr } from '../../src/formats/tree.ts';
import { type NativeAddon, native } from '../../src/native.ts';

/** @param path does not exist yet; leaves with several names become hard links */
export async function writeTree(root: Directory, path: string): Promise<void> {
  const addon = native;
  if (addon === undefined) throw new Error('the native addon is not built');
  await writeDirectory(addon, root, path, new Map());
}

/** Attributes come after what a directory contains: its permissions may forbid more entries, were it not for root. */
async function writeDirectory(addon: NativeAddon, directory: Directory, path: string, written: Map<Leaf, string>) {
  await mkdir(path);
  for (const [name, inode] of directory.entries) {
    const child = `${path}/${byteStringToText(name)}`;
    if (inode.kind === 'directory') await writeDirectory(addon, inode, child, written);
    else await writeLeaf(addon, inode, child, written);
  }
  await chown(path, directory.uid, directory.gid);
  setXattrs(addon, path, directory.xattrs);
  await chmod(path, directory.permissions);
}

async function writeLeaf(addon: NativeAddon, leaf: Leaf, path: string, written: Map<Leaf, string>): Promise<void> {
  const first = written.get(leaf);
  if (first !== undefined) return link(first, path);
  written.set(leaf, path);
  if (leaf.kind === 'symlink') await symlink(byteStringToBytes(leaf.target) as Buffer, path);
  else if (leaf.kind === 'file') await writeFile(path, leaf.content);
  else throw new Error(`no ${leaf.kind} in trees on disk`);
  await lchown(path, leaf.uid, leaf.gid);
  setXattrs(addon, path, leaf.xattrs);
  if (leaf.kind === 'file') await chmod(path, leaf.permissions); // after chown, which takes set-id bits away
}

function setXattrs(addon: NativeAddon, path: string, xattrs: Xattr[]): void {
  for (const { name, value } of xattrs) addon.lsetxattr(path, name as ByteString, value);
}
