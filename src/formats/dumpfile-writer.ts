/**
 * Writes the composefs dump text format in the form that every reader of it takes, as composefs-rs writes it:
 * directory sizes 0, short hardlink lines, xattrs by name. Paths are kept as found, and a digest is there only when it
 * is known.
 */

import { LimitError } from '../errors.ts';
import { type ByteString, byteStringFromBytes } from './byte-string.ts';
import { escapeOptional, escapeText, escapeXattr } from './dumpfile-text.ts';
import { MAX_TREE_DEPTH } from './erofs/limits.ts';
import { type Directory, type Inode, type Leaf, modeOf } from './tree.ts';

/** Bytes that a chunk has at least, the last one aside. */
const CHUNK_BYTES = 65536;

/**
 * The tree as text, in chunks: each directory before what it contains, names in byte order.
 * @throws LimitError for a tree that is too deep
 */
export function* serializeDumpfile(root: Directory): Generator<Uint8Array> {
  const shared = findShared(root);
  const encoder = new TextEncoder();
  let chunk = '';
  for (const { path, inode } of walk(root)) {
    const sharing = inode.kind === 'directory' ? undefined : shared.get(inode);
    chunk +=
      sharing !== undefined && sharing.ownPath !== path
        ? `${escapeText(path)} 0 @120000 - - - - 0.0 ${escapeOptional(sharing.ownPath)} - -\n`
        : inodeLine(path, inode, sharing?.names ?? 1);
    if (chunk.length < CHUNK_BYTES) continue;
    yield encoder.encode(chunk);
    chunk = '';
  }
  if (chunk !== '') yield encoder.encode(chunk);
}

interface Sharing {
  /** Of the entry that gets the full line. */
  ownPath: ByteString;
  names: number;
}

/** Leaves with several names. */
function findShared(root: Directory): Map<Leaf, Sharing> {
  const firstPaths = new Map<Leaf, ByteString>();
  const shared = new Map<Leaf, Sharing>();
  for (const { path, inode, directory, name } of walk(root)) {
    if (inode.kind === 'directory') continue;
    const firstPath = firstPaths.get(inode);
    if (firstPath === undefined) {
      firstPaths.set(inode, path);
      continue;
    }
    const sharing = shared.get(inode) ?? { ownPath: firstPath, names: 1 };
    shared.set(inode, sharing);
    sharing.names++;
    const { origin } = inode;
    if (origin !== undefined && origin.directory === directory && origin.name === name) sharing.ownPath = path;
  }
  return shared;
}

interface Walked {
  path: ByteString;
  name: ByteString;
  directory: Directory | undefined;
  inode: Inode;
}

function* walk(root: Directory): Generator<Walked> {
  yield { path: '/' as ByteString, name: '' as ByteString, directory: undefined, inode: root };
  const open = (directory: Directory, path: string) => ({
    directory,
    path,
    names: [...directory.entries.keys()].sort(),
    next: 0,
  });
  const frames = [open(root, '')];
  for (let frame = frames.at(-1); frame !== undefined; frame = frames.at(-1)) {
    const { directory, names } = frame;
    if (frame.next === names.length) {
      frames.pop();
      continue;
    }
    const name = names[frame.next++];
    const inode = directory.entries.get(name) as Inode;
    const path = `${frame.path}/${name}` as ByteString;
    yield { path, name, directory, inode };
    if (inode.kind !== 'directory') continue;
    if (frames.length > MAX_TREE_DEPTH)
      throw new LimitError(`more than ${MAX_TREE_DEPTH} directories inside one another`, {
        format: 'dumpfile',
        field: 'PATH',
      });
    frames.push(open(inode, path));
  }
}

function inodeLine(path: ByteString, inode: Inode, names: number): string {
  const { uid, gid, mtimeSeconds, mtimeNanoseconds } = inode;
  let sizeBytes = 0;
  let nlink = names;
  let rdev = 0;
  let payload: ByteString | undefined;
  let content: ByteString | undefined;
  let digest: string | undefined;
  switch (inode.kind) {
    case 'directory':
      nlink = 2;
      for (const child of inode.entries.values()) if (child.kind === 'directory') nlink++;
      break;
    case 'file':
      sizeBytes = inode.content.length;
      if (sizeBytes > 0) content = byteStringFromBytes(inode.content);
      break;
    case 'external':
      ({ sizeBytes, payload, digest } = inode);
      break;
    case 'symlink':
      sizeBytes = inode.target.length;
      payload = inode.target;
      break;
    case 'character':
    case 'block':
      rdev = inode.rdev;
      break;
    default:
      break;
  }
  if (inode.kind !== 'directory') nlink = inode.nlink ?? names;
  const mode = modeOf(inode).toString(8);
  const numbers = `${sizeBytes} ${mode} ${nlink} ${uid} ${gid} ${rdev} ${mtimeSeconds}.${mtimeNanoseconds}`;
  const line = `${escapeText(path)} ${numbers} ${escapeOptional(payload)} ${escapeOptional(content)} ${digest ?? '-'}`;
  return `${line}${xattrFields(inode)}\n`;
}

function xattrFields({ xattrs }: Inode): string {
  const sorted = xattrs.length > 1 ? xattrs.toSorted((a, b) => (a.name < b.name ? -1 : 1)) : xattrs;
  return sorted.map(({ name, value }) => ` ${escapeXattr(name)}=${escapeXattr(byteStringFromBytes(value))}`).join('');
}
