/** The file tree that an image holds, as it was before overlay marks, stubs and escaped names went into it. */

import type { Where } from '../../errors.ts';
import { type ByteString, byteStringFromBytes } from '../byte-string.ts';
import type { Directory, InodeMetadata, Leaf, Xattr } from '../tree.ts';
import { contentOf, givenXattrs, isExternal, readBody, targetOf } from './body-reader.ts';
import { EntryOrder } from './entry-order.ts';
import { walkImage } from './image-walk.ts';
import type { ImageInode, InodeReader } from './inode-reader.ts';
import { SLOT_BYTES } from './layout.ts';
import { ESCAPED_PREFIX, OVERLAY_PREFIX, WHITEOUT_MARKS } from './overlay.ts';
import { directoryMarks, hasWhiteoutMarks, isMarkedDirectory } from './whiteouts.ts';

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
    this.#marks = directoryMarks(version);
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
    return { directory, isMarked: isMarkedDirectory(inode, this.#marks), isUnmarked: false };
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
    const leaf = parent.isMarked && hasWhiteoutMarks(inode) ? this.#whiteout(inode, parent) : this.#plainLeaf(inode);
    if (this.#isFamilyA) stateNlink(leaf, inode.nlink, 1);
    this.#leaves.set(inode.nid, leaf);
    return leaf;
  }

  #plainLeaf(inode: ImageInode): Leaf {
    const metadata = metadataOf(inode, givenXattrs(this.#reader, inode, false));
    switch (inode.kind) {
      case 'symlink':
        return { kind: 'symlink', ...metadata, target: byteStringFromBytes(targetOf(this.#reader, inode)) };
      case 'character':
      case 'block':
        return { kind: inode.kind, ...metadata, rdev: inode.u };
      case 'fifo':
      case 'socket':
        return { kind: inode.kind, ...metadata };
      default:
        return isExternal(inode)
          ? { kind: 'external', ...metadata, sizeBytes: inode.sizeBytes, ...readBody(this.#reader, inode) }
          : { kind: 'file', ...metadata, content: contentOf(this.#reader, inode) };
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
