/** What a commit is made of, found in a directory or in a file tree: metadata now, content later. */

import { lstat, readdir, readlink } from 'node:fs/promises';
import { AddonNeededError, FormatError, LimitError, NotFoundError, SourceError } from '../errors.ts';
import {
  type ByteString,
  byteStringFromBytes,
  byteStringFromText,
  compareByteStrings,
  isUtf8,
} from '../formats/byte-string.ts';
import type { Dirmeta } from '../formats/ostree/dirmeta.ts';
import type { FileHeader } from '../formats/ostree/file-header.ts';
import { MAX_NAME_BYTES, MAX_TARGET_BYTES, MAX_TREE_DEPTH } from '../formats/ostree/limits.ts';
import { type Directory, FileType, type Inode, modeOf, type Xattr } from '../formats/tree.ts';
import { native } from '../native.ts';

export interface FileToCommit {
  header: FileHeader;
  /** Where the content is: a path on disk, or in memory. A symlink has neither. */
  path?: string;
  content?: Uint8Array;
  /** Files with the same key are one inode, read once. */
  inodeKey?: string;
}

export interface DirectoryToCommit {
  meta: Dirmeta;
  files: Array<{ name: ByteString; file: FileToCommit }>;
  directories: Array<{ name: ByteString; directory: DirectoryToCommit }>;
}

/** How what is found is changed before it is committed, as `ostree commit` does with its options of these names. */
export interface CommitModifier {
  ownerUid?: number;
  ownerGid?: number;
  noXattrs?: boolean;
  canonicalPermissions?: boolean;
}

const S_IFMT = 0o170000;
/** Permission bits that canonical permissions keep. */
const CANONICAL_MASK = 0o755;

/**
 * Symlinks are taken as such, nothing is followed but the starting directory itself.
 * @throws FormatError naming a path that ostree cannot hold; SourceError for one that cannot be read
 */
export async function scanDirectory(
  path: string,
  modifier: CommitModifier,
  signal?: AbortSignal,
): Promise<DirectoryToCommit> {
  const readXattrs = xattrReader(modifier);
  const rootStat = await lstat(path).catch((error: unknown) => {
    throw new NotFoundError('cannot be read', { file: path }, { cause: error });
  });
  if (!rootStat.isDirectory()) throw new NotFoundError('is no directory', { file: path });
  const root = emptyDirectory(modifyMetadata({ ...rootStat, xattrs: readXattrs(path) }, modifier));
  const pending = [{ path, directory: root, depth: 0 }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    signal?.throwIfAborted();
    if (next.depth > MAX_TREE_DEPTH)
      throw new LimitError(`directories are nested more than ${MAX_TREE_DEPTH} deep`, { file: next.path });
    for (const name of await readNames(next.path)) {
      const child = `${next.path}/${name}`;
      const stat = await lstat(child).catch((error: unknown) => {
        throw new SourceError('cannot be read', { file: child }, { cause: error });
      });
      const type = stat.mode & S_IFMT;
      const key = byteStringFromText(name);
      if (type === FileType.directory) {
        const directory = emptyDirectory(modifyMetadata({ ...stat, xattrs: readXattrs(child) }, modifier));
        next.directory.directories.push({ name: key, directory });
        pending.push({ path: child, directory, depth: next.depth + 1 });
      } else if (type === FileType.symlink) {
        const target = byteStringFromBytes(await readlink(child, { encoding: 'buffer' }));
        checkTarget(target, child);
        const header = { ...modifyMetadata({ ...stat, xattrs: readXattrs(child) }, modifier), target };
        next.directory.files.push({ name: key, file: { header } });
      } else if (type === FileType.file) {
        const header = {
          ...modifyMetadata({ ...stat, xattrs: readXattrs(child) }, modifier),
          target: '' as ByteString,
        };
        const inodeKey = stat.nlink > 1 ? `${stat.dev}:${stat.ino}` : undefined;
        next.directory.files.push({ name: key, file: { header, path: child, inodeKey } });
      } else throw new FormatError('ostree can hold only files, directories and symlinks', { file: child });
    }
    sortByName(next.directory);
  }
  return root;
}

/**
 * The same from a tree that somebody wrote down.
 * @param objectPath where the content of an external file is
 */
export function scanTree(
  root: Directory,
  modifier: CommitModifier,
  objectPath: (file: Inode) => string,
): DirectoryToCommit {
  const result = emptyDirectory(modifyMetadata(asFound(root), modifier));
  const pending = [{ path: '', inode: root, directory: result }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    for (const [name, inode] of next.inode.entries) {
      const path = `${next.path}/${name}`;
      if (name.length > MAX_NAME_BYTES || !isUtf8(name)) throw new FormatError('its name is not UTF-8', { file: path });
      const found = modifyMetadata(asFound(inode), modifier);
      if (inode.kind === 'directory') {
        const directory = emptyDirectory(found);
        next.directory.directories.push({ name, directory });
        pending.push({ path, inode, directory });
        continue;
      }
      const header: FileHeader = { ...found, target: inode.kind === 'symlink' ? inode.target : ('' as ByteString) };
      if (inode.kind === 'symlink') checkTarget(inode.target, path);
      else if (inode.kind !== 'file' && inode.kind !== 'external')
        throw new FormatError('ostree can hold only files, directories and symlinks', { file: path });
      const file: FileToCommit =
        inode.kind === 'symlink'
          ? { header }
          : inode.kind === 'file'
            ? { header, content: inode.content }
            : { header, path: objectPath(inode) };
      next.directory.files.push({ name, file });
    }
    sortByName(next.directory);
  }
  return result;
}

const asFound = (inode: Inode) => ({ uid: inode.uid, gid: inode.gid, mode: modeOf(inode), xattrs: inode.xattrs });

const emptyDirectory = (meta: Dirmeta): DirectoryToCommit => ({ meta, files: [], directories: [] });

function modifyMetadata(
  found: { uid: number; gid: number; mode: number; xattrs: Xattr[] },
  { ownerUid, ownerGid, noXattrs, canonicalPermissions }: CommitModifier,
): Dirmeta {
  const canonical = canonicalPermissions ?? false;
  const isSymlink = (found.mode & S_IFMT) === FileType.symlink;
  const keepMode = !canonical || isSymlink;
  return {
    uid: ownerUid ?? (canonical ? 0 : found.uid),
    gid: ownerGid ?? (canonical ? 0 : found.gid),
    mode: keepMode ? found.mode : (found.mode & S_IFMT) | (found.mode & CANONICAL_MASK),
    // Attributes without a value never enter an object.
    xattrs: noXattrs || canonical ? [] : sortedXattrs(found.xattrs),
  };
}

const sortedXattrs = (xattrs: Xattr[]): Xattr[] =>
  xattrs.filter(({ value }) => value.length > 0).sort((a, b) => compareByteStrings(a.name, b.name));

function xattrReader({ noXattrs, canonicalPermissions }: CommitModifier): (path: string) => Xattr[] {
  if (noXattrs || canonicalPermissions) return () => [];
  const addon = native;
  if (addon === undefined)
    throw new AddonNeededError(
      'reading extended attributes needs the native addon (doc/native.md); --no-xattrs does without',
    );
  return (path) => {
    const xattrs: Xattr[] = [];
    for (const name of addon.llistxattr(path) as ByteString[]) {
      const value = addon.lgetxattr(path, name);
      if (value !== null) xattrs.push({ name, value });
    }
    return xattrs;
  };
}

async function readNames(path: string): Promise<string[]> {
  const names = await readdir(path, { encoding: 'buffer' }).catch((error: unknown) => {
    throw new SourceError('cannot be read', { file: path }, { cause: error });
  });
  return names.map((bytes) => {
    if (!isUtf8(byteStringFromBytes(bytes)))
      throw new FormatError('its name is not UTF-8, which ostree cannot hold', { file: `${path}/${bytes.toString()}` });
    return bytes.toString();
  });
}

function checkTarget(target: ByteString, path: string): void {
  if (!isUtf8(target)) throw new FormatError('its target is not UTF-8, which ostree cannot hold', { file: path });
  if (target.length === 0 || target.length > MAX_TARGET_BYTES)
    throw new LimitError(`its target has ${target.length} bytes, 1 to ${MAX_TARGET_BYTES} are possible`, {
      file: path,
    });
}

function sortByName(directory: DirectoryToCommit): void {
  directory.files.sort((a, b) => compareByteStrings(a.name, b.name));
  directory.directories.sort((a, b) => compareByteStrings(a.name, b.name));
}
