/** `ls` and `cat`: what is in a tree, without mounting it. */

import { NotFoundError, UsageError } from '../errors.ts';
import { byteStringToText } from '../formats/byte-string.ts';
import { toHex } from '../formats/ids.ts';
import type { Directory, Inode } from '../formats/tree.ts';
import type { Repository } from '../store/repository.ts';
import { joinPath, lookupPath, sortedEntries, type TreeEntry, walkTree } from './tree-path.ts';

export interface ListedEntry {
  path: string;
  type: 'directory' | 'file' | 'symlink' | 'character' | 'block' | 'fifo' | 'socket';
  /** Permission bits, four octal digits. */
  mode: string;
  uid: number;
  gid: number;
  /** Of regular files. */
  sizeBytes?: number;
  /** ISO 8601. */
  mtime: string;
  target?: string;
  /** fs-verity id of the content, where it is kept outside the metadata. */
  object?: string;
  xattrs?: Array<{ name: string; valueHex: string }>;
}

/**
 * The entry itself for a file, its children for a directory, with `recursive` everything below.
 * @throws NotFoundError when the path is not in the tree
 */
export function* listTree(root: Directory, path = '/', options: { recursive?: boolean } = {}): Generator<ListedEntry> {
  const start = lookupPath(root, path);
  if (start.inode.kind !== 'directory') yield describeEntry(start);
  else if (options.recursive) for (const entry of walkTree(start)) yield describeEntry(entry);
  else
    for (const [name, inode] of sortedEntries(start.inode))
      yield describeEntry({ path: joinPath(start.path, name), inode });
}

export const sizeOf = (inode: Inode): number | undefined =>
  inode.kind === 'file' ? inode.content.length : inode.kind === 'external' ? inode.sizeBytes : undefined;

export function describeEntry({ path, inode }: TreeEntry): ListedEntry {
  const sizeBytes = sizeOf(inode);
  return {
    path: byteStringToText(path),
    type: inode.kind === 'external' ? 'file' : inode.kind,
    mode: inode.permissions.toString(8).padStart(4, '0'),
    uid: inode.uid,
    gid: inode.gid,
    ...(sizeBytes === undefined ? {} : { sizeBytes }),
    mtime: isoTime(inode.mtimeSeconds, inode.mtimeNanoseconds),
    ...(inode.kind === 'symlink' ? { target: byteStringToText(inode.target) } : {}),
    ...(inode.kind === 'external' && inode.digest !== undefined ? { object: inode.digest } : {}),
    ...(inode.xattrs.length === 0
      ? {}
      : { xattrs: inode.xattrs.map(({ name, value }) => ({ name: byteStringToText(name), valueHex: toHex(value) })) }),
  };
}

/** Largest time that an ECMAScript Date holds, in seconds. */
const MAX_DATE_SECONDS = 8_640_000_000_000n;

/** ISO 8601 in UTC; a time beyond what a Date holds is given as seconds since the epoch, `@N`. */
export function isoTime(seconds: bigint, nanoseconds = 0): string {
  if (seconds > MAX_DATE_SECONDS || seconds < -MAX_DATE_SECONDS) return `@${seconds}`;
  const text = new Date(Number(seconds) * 1000).toISOString();
  const fraction = nanoseconds === 0 ? '' : `.${nanoseconds.toString().padStart(9, '0').replace(/0+$/, '')}`;
  return `${text.slice(0, text.lastIndexOf('.'))}${fraction}Z`;
}

/**
 * The bytes of one regular file, verified on the way.
 * @param repo where external content is; `file:` trees of a dumpfile have none
 */
export async function readTreeFile(
  root: Directory,
  path: string,
  repo: () => Promise<Repository>,
): Promise<Uint8Array> {
  const { inode } = lookupPath(root, path);
  if (inode.kind === 'file') return inode.content;
  if (inode.kind !== 'external') throw new UsageError(`${path} is a ${inode.kind}, not a regular file`);
  if (inode.digest === undefined) throw new NotFoundError('the tree does not say where its content is', { file: path });
  return (await repo()).objects.read(inode.digest, { maxBytes: inode.sizeBytes });
}
