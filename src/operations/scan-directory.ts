/** What a commit is made of, found in a directory or in a file tree: metadata now, content later. */

import { lstatSync, readdirSync, readlinkSync } from 'node:fs';
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
}

/** Hard links are entries with the same file. */
export interface DirectoryToCommit {
  meta: Dirmeta;
  files: Array<{ name: ByteString; file: FileToCommit }>;
  directories: Array<{ name: ByteString; directory: DirectoryToCommit }>;
}

/** A tree, and its files one after the other, hard links once. */
export interface Scan {
  /** Complete when all of `files` have been taken. */
  root: DirectoryToCommit;
  /** To be taken once: looking goes on while what was found is being stored. */
  files: Iterable<FileToCommit>;
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
 * Symlinks are taken as such, nothing is followed but the starting directory itself. The system calls are synchronous: a way through
 * the thread pool costs several times as much as looking at a file, and the threads that store files have enough to do meanwhile.
 * @throws NotFoundError for the directory itself; taking files: FormatError naming a path that ostree cannot hold, SourceError for
 *   one that cannot be read
 */
export function scanDirectory(path: string, modifier: CommitModifier): Scan {
  const readXattrs = xattrReader(modifier);
  const stat = attempt(
    () => lstatSync(path),
    (cause) => new NotFoundError('cannot be read', { file: path }, { cause }),
  );
  if (!stat.isDirectory()) throw new NotFoundError('is no directory', { file: path });
  const root = emptyDirectory(modifyMetadata(stat, readXattrs(path), modifier));
  return { root, files: findFiles({ path, directory: root, depth: 0 }, modifier, readXattrs) };
}

interface PendingDirectory {
  path: string;
  directory: DirectoryToCommit;
  depth: number;
}

function* findFiles(
  start: PendingDirectory,
  modifier: CommitModifier,
  readXattrs: (path: string) => Xattr[],
): Generator<FileToCommit> {
  const linked = new Map<string, FileToCommit>();
  const pending = [start];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (next.depth > MAX_TREE_DEPTH)
      throw new LimitError(`directories are nested more than ${MAX_TREE_DEPTH} deep`, { file: next.path });
    const { files, directories } = next.directory;
    for (const name of readNames(next.path)) {
      const child = `${next.path}/${name}`;
      const stat = readable(child, () => lstatSync(child));
      const type = stat.mode & S_IFMT;
      const key = byteStringFromText(name);
      const meta = modifyMetadata(stat, readXattrs(child), modifier);
      if (type === FileType.directory) {
        const directory = emptyDirectory(meta);
        directories.push({ name: key, directory });
        pending.push({ path: child, directory, depth: next.depth + 1 });
      } else if (type === FileType.symlink) {
        const target = byteStringFromBytes(readable(child, () => readlinkSync(child, { encoding: 'buffer' })));
        checkTarget(target, child);
        const file: FileToCommit = { header: { ...meta, target } };
        files.push({ name: key, file });
        yield file;
      } else if (type === FileType.file) {
        const inode = stat.nlink > 1 ? `${stat.dev}:${stat.ino}` : undefined;
        let file = inode && linked.get(inode);
        if (file) {
          files.push({ name: key, file });
          continue;
        }
        file = { header: { ...meta, target: '' as ByteString }, path: child };
        if (inode !== undefined) linked.set(inode, file);
        files.push({ name: key, file });
        yield file;
      } else throw new FormatError('ostree can hold only files, directories and symlinks', { file: child });
    }
    sortByName(next.directory);
  }
}

/**
 * The same from a tree that somebody wrote down.
 * @param objectPath where the content of an external file is
 */
export function scanTree(root: Directory, modifier: CommitModifier, objectPath: (file: Inode) => string): Scan {
  const result = emptyDirectory(modifyMetadata(asFound(root), root.xattrs, modifier));
  const files: FileToCommit[] = [];
  const pending = [{ path: '', inode: root, directory: result }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    for (const [name, inode] of next.inode.entries) {
      const path = `${next.path}/${name}`;
      if (name.length > MAX_NAME_BYTES || !isUtf8(name)) throw new FormatError('its name is not UTF-8', { file: path });
      const found = modifyMetadata(asFound(inode), inode.xattrs, modifier);
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
      files.push(file);
    }
    sortByName(next.directory);
  }
  return { root: result, files };
}

const asFound = (inode: Inode) => ({ uid: inode.uid, gid: inode.gid, mode: modeOf(inode) });

const emptyDirectory = (meta: Dirmeta): DirectoryToCommit => ({ meta, files: [], directories: [] });

function modifyMetadata(
  found: { uid: number; gid: number; mode: number },
  xattrs: Xattr[],
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
    xattrs: noXattrs || canonical ? [] : sortedXattrs(xattrs),
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

/** @throws what `explain` makes of the failure */
function attempt<Result>(call: () => Result, explain: (cause: unknown) => Error): Result {
  try {
    return call();
  } catch (error) {
    throw explain(error);
  }
}

const readable = <Result>(path: string, call: () => Result): Result =>
  attempt(call, (cause) => new SourceError('cannot be read', { file: path }, { cause }));

function readNames(path: string): string[] {
  const names = readable(path, () => readdirSync(path, { encoding: 'buffer' }));
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
