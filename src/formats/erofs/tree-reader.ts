/** The file tree that an image holds, as it was before overlay marks, stubs and escaped names went into it. */

import type { Where } from '../../errors.ts';
import { type ByteString, byteStringFromBytes } from '../byte-string.ts';
import type { Directory, InodeMetadata, Leaf, Xattr } from '../tree.ts';
import { givenXattrs, isExternal, readBody } from './body-reader.ts';
import { EntryOrder } from './entry-order.ts';
import { walkImage } from './image-walk.ts';
import type { ImageInode, InodeReader } from './inode-reader.ts';
import { Layout, SLOT_BYTES } from './layout.ts';
import {
  ESCAPED_PREFIX,
  OPAQUE_MARK_VALUE,
  OPAQUE_MARKS,
  OVERLAY_PREFIX,
  WHITEOUT_MARKS,
  WHITEOUTS_MARKS,
} from './overlay.ts';

interface OpenDirectory {
  directory: Directory;
  /** Whether it has the marks that a version 0/1 writer gives to the directory of a whiteout. */
  isMarked: boolean;
  /** Whether these are gone, because a whiteout was found. */
  isUnmarked: boolean;
}

export function readImageTree(reader: InodeReader, where: Where): Directory {
  return new TreeBuilder(reader).build(where);
}

class TreeBuilder {
  readonly #reader: InodeReader;
  readonly #isFamilyA: boolean;
  readonly #marks: ReadonlyMap<ByteString, ByteString>;
  /** By nid. */
  readonly #leaves = new Map<number, Leaf>();
  readonly #names = new Map<Leaf, number>();
  readonly #order = new EntryOrder();

  constructor(reader: InodeReader) {
    this.#reader = reader;
    const { version } = reader.header;
    this.#isFamilyA = version !== 2;
    this.#marks = new Map([
      ...WHITEOUTS_MARKS.map((name) => [name, NO_VALUE] as const),
      ...(version === 1 ? OPAQUE_MARKS.map((name) => [name, OPAQUE_MARK_VALUE] as const) : []),
    ]);
  }

  build(where: Where): Directory {
    const path: OpenDirectory[] = [];
    for (const { name, depth, nid, inode, isStub } of walkImage(this.#reader, where)) {
      path.length = depth;
      if (this.#isFamilyA && depth > 0) this.#order.add(depth, nid, isStub);
      if (isStub) continue;
      if (inode?.kind === 'directory') {
        const open = this.#directory(inode, depth === 0);
        if (depth > 0) path[depth - 1].directory.entries.set(name, open.directory);
        path.push(open);
      } else {
        const parent = path[depth - 1];
        const leaf = inode === undefined ? this.#link(nid) : this.#leaf(inode, parent);
        parent.directory.entries.set(name, leaf);
      }
    }
    const root = path[0].directory;
    if (!this.#isFamilyA || this.#names.size === 0) return root;
    for (const [leaf, names] of this.#names) stateNlink(leaf, leaf.nlink ?? 1, names);
    this.#order.restoreOrigins(root, new Set(this.#names.keys()));
    return root;
  }

  #directory(inode: ImageInode, isRoot: boolean): OpenDirectory {
    const xattrs = givenXattrs(this.#reader, inode, isRoot);
    const directory: Directory = { kind: 'directory', ...metadataOf(inode, xattrs), entries: new Map() };
    return { directory, isMarked: this.#isFamilyA && hasAll(inode.xattrs, this.#marks), isUnmarked: false };
  }

  #link(nid: number): Leaf {
    const leaf = this.#leaves.get(nid);
    const offset = nid * SLOT_BYTES;
    if (leaf === undefined) return this.#reader.fail('dirent.nid', offset, `stub ${nid} has a second name`);
    if (leaf.kind === 'character' && leaf.rdev === 0)
      this.#reader.fail('dirent.nid', offset, `whiteout ${nid} has a second name`);
    this.#names.set(leaf, (this.#names.get(leaf) ?? 1) + 1);
    return leaf;
  }

  #leaf(inode: ImageInode, parent: OpenDirectory): Leaf {
    const leaf = isWhiteoutFile(inode) && parent.isMarked ? this.#whiteout(inode, parent) : this.#plainLeaf(inode);
    if (this.#isFamilyA) stateNlink(leaf, inode.nlink, 1);
    this.#leaves.set(inode.nid, leaf);
    return leaf;
  }

  #plainLeaf(inode: ImageInode): Leaf {
    const metadata = metadataOf(inode, givenXattrs(this.#reader, inode, false));
    switch (inode.kind) {
      case 'symlink': {
        const target = byteStringFromBytes(this.#content(inode));
        if (target.includes('\0')) this.#reader.fail('symlink target', inode.offset, 'contains a NUL');
        return { kind: 'symlink', ...metadata, target };
      }
      case 'character':
      case 'block':
        return { kind: inode.kind, ...metadata, rdev: inode.u };
      case 'fifo':
      case 'socket':
        return { kind: inode.kind, ...metadata };
      default:
        return isExternal(inode)
          ? { kind: 'external', ...metadata, sizeBytes: inode.sizeBytes, ...readBody(this.#reader, inode) }
          : { kind: 'file', ...metadata, content: this.#content(inode) };
    }
  }

  /** A whiteout as a device again; its marks, and those of its directory, were added when the image was made. */
  #whiteout(inode: ImageInode, parent: OpenDirectory): Leaf {
    const { directory } = parent;
    const xattrs = without(givenXattrs(this.#reader, inode, false), WHITEOUT_MARKS);
    if (!parent.isUnmarked) directory.xattrs = without(directory.xattrs, [...this.#marks.keys()]);
    parent.isUnmarked = true;
    return { kind: 'character', ...metadataOf(inode, xattrs), rdev: 0 };
  }

  /** A view of the image where the content is in one piece. */
  #content(inode: ImageInode): Uint8Array {
    const { blocks, tail } = this.#reader.dataOf(inode);
    if (tail.length === 0) return blocks;
    if (blocks.length === 0) return tail;
    const content = new Uint8Array(blocks.length + tail.length);
    content.set(blocks);
    content.set(tail, blocks.length);
    return content;
  }
}
const NO_VALUE = '' as ByteString;

/** A regular file that stands for a whiteout, if its directory agrees; otherwise somebody gave it these xattrs. */
const WHITEOUT_VALUES = new Map(WHITEOUT_MARKS.map((name) => [name as ByteString, NO_VALUE]));
const isWhiteoutFile = ({ kind, layout, sizeBytes, xattrs }: ImageInode): boolean =>
  kind === 'file' && layout === Layout.plain && sizeBytes === 0 && hasAll(xattrs, WHITEOUT_VALUES);

function hasAll(xattrs: Xattr[], wanted: ReadonlyMap<ByteString, ByteString>): boolean {
  let found = 0;
  for (const { name, value } of xattrs) {
    const expected = wanted.get(name);
    if (expected !== undefined && value.length === expected.length && byteStringFromBytes(value) === expected) found++;
  }
  return found === wanted.size;
}

/** @param stored names as stored, which the xattrs have lost their escape of */
function without(xattrs: Xattr[], stored: readonly ByteString[]): Xattr[] {
  const given = stored.map((name) => name.replace(ESCAPED_PREFIX, OVERLAY_PREFIX));
  return xattrs.filter(({ name }) => !given.includes(name));
}

const metadataOf = (
  { permissions, uid, gid, mtimeSeconds, mtimeNanoseconds }: ImageInode,
  xattrs: Xattr[],
): InodeMetadata => ({ permissions, uid, gid, mtimeSeconds, mtimeNanoseconds, xattrs });

/** Keeps a stored link count that is not the number of names. */
function stateNlink(leaf: Leaf, stored: number, names: number): void {
  if (stored === names) delete leaf.nlink;
  else leaf.nlink = stored;
}
