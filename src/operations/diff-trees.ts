/** What differs between two trees. */

import { type ByteString, byteStringToText, compareByteStrings } from '../formats/byte-string.ts';
import { fsVerityDigest } from '../formats/fs-verity.ts';
import { type Algorithm, objectIdFromBytes, toHex } from '../formats/ids.ts';
import type { Directory, Inode, Xattr } from '../formats/tree.ts';
import { joinPath, walkTree } from './tree-path.ts';

export type Aspect = 'type' | 'mode' | 'owner' | 'mtime' | 'xattrs' | 'size' | 'content' | 'target' | 'device';

export interface TreeDifference {
  added: string[];
  removed: string[];
  changed: Array<{ path: string; what: Aspect[] }>;
}

/** Paths in byte order. A subtree that is new or gone is listed whole. */
export function diffTrees(a: Directory, b: Directory): TreeDifference {
  const difference: TreeDifference = { added: [], removed: [], changed: [] };
  const pairs: Array<{ path: ByteString; a?: Inode; b?: Inode }> = [{ path: '/' as ByteString, a, b }];
  for (let pair = pairs.pop(); pair !== undefined; pair = pairs.pop()) {
    const { path, a: before, b: after } = pair;
    if (before === undefined || after === undefined) {
      const [list, inode] = before === undefined ? [difference.added, after] : [difference.removed, before];
      for (const entry of walkTree({ path, inode: inode as Inode })) list.push(byteStringToText(entry.path));
      continue;
    }
    const what = compareInodes(before, after);
    if (what.length > 0) difference.changed.push({ path: byteStringToText(path), what });
    const left = before.kind === 'directory' ? before.entries : EMPTY;
    const right = after.kind === 'directory' ? after.entries : EMPTY;
    const names = [...new Set([...left.keys(), ...right.keys()])].sort(compareByteStrings);
    for (let i = names.length - 1; i >= 0; i--) {
      const name = names[i];
      pairs.push({ path: joinPath(path, name), a: left.get(name), b: right.get(name) });
    }
  }
  return difference;
}

const EMPTY: ReadonlyMap<ByteString, Inode> = new Map();

function compareInodes(a: Inode, b: Inode): Aspect[] {
  const what: Aspect[] = [];
  if (typeOf(a) !== typeOf(b)) what.push('type');
  if (a.permissions !== b.permissions) what.push('mode');
  if (a.uid !== b.uid || a.gid !== b.gid) what.push('owner');
  if (a.mtimeSeconds !== b.mtimeSeconds || a.mtimeNanoseconds !== b.mtimeNanoseconds) what.push('mtime');
  if (!sameXattrs(a.xattrs, b.xattrs)) what.push('xattrs');
  if (typeOf(a) !== typeOf(b)) return what;
  if (a.kind === 'symlink' && b.kind === 'symlink' && a.target !== b.target) what.push('target');
  if ('rdev' in a && 'rdev' in b && a.rdev !== b.rdev) what.push('device');
  if (isRegular(a) && isRegular(b)) {
    if (regularSize(a) !== regularSize(b)) what.push('size', 'content');
    else if (!sameContent(a, b)) what.push('content');
  }
  return what;
}

type Regular = Extract<Inode, { kind: 'file' | 'external' }>;
const isRegular = (inode: Inode): inode is Regular => inode.kind === 'file' || inode.kind === 'external';
const typeOf = (inode: Inode): string => (inode.kind === 'external' ? 'file' : inode.kind);
const regularSize = (inode: Regular): number => (inode.kind === 'file' ? inode.content.length : inode.sizeBytes);

/** Sizes are equal. Inlined and external content compare by fs-verity digest: the inline limit depends on the repository. */
function sameContent(a: Regular, b: Regular): boolean {
  if (a.kind === 'file' && b.kind === 'file') return toHex(a.content) === toHex(b.content);
  if (a.kind === 'external' && b.kind === 'external' && (a.digest === undefined || b.digest === undefined))
    return a.digest === b.digest && a.payload === b.payload;
  const algorithm = algorithmOf(a) ?? algorithmOf(b) ?? 'sha512';
  return contentId(a, algorithm) === contentId(b, algorithm);
}

const algorithmOf = (inode: Regular): Algorithm | undefined =>
  inode.kind === 'external' && inode.digest !== undefined
    ? inode.digest.length === 64
      ? 'sha256'
      : 'sha512'
    : undefined;

const contentId = (inode: Regular, algorithm: Algorithm): string | undefined =>
  inode.kind === 'external' ? inode.digest : objectIdFromBytes(fsVerityDigest(algorithm, inode.content));

function sameXattrs(a: Xattr[], b: Xattr[]): boolean {
  if (a.length !== b.length) return false;
  const values = new Map(a.map(({ name, value }) => [name, toHex(value)]));
  return b.every(({ name, value }) => values.get(name) === toHex(value));
}
