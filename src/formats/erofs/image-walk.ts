/** Every entry of an image once, depth first, with the checks that concern more than one inode. */

import { LimitError, type Where } from '../../errors.ts';
import type { ByteString } from '../byte-string.ts';
import { direntType, type ImageEntry, readEntries } from './directory-reader.ts';
import type { ImageInode, InodeReader } from './inode-reader.ts';
import { SLOT_BYTES } from './layout.ts';
import { MAX_TREE_DEPTH } from './limits.ts';
import { SELINUX, STUB_MODE, STUB_NAMES } from './overlay.ts';

export interface WalkedEntry {
  /** Empty for the root. */
  name: ByteString;
  /** Directories between the root and the entry; 0: the root itself. */
  depth: number;
  nid: number;
  /** Undefined for an inode that was met before: a further name of it. */
  inode: ImageInode | undefined;
  /** One of the character devices that stand in the root of version 0 and 1 images and belong to no tree. */
  isStub: boolean;
}

interface Frame {
  directory: ImageInode;
  entries: ImageEntry[];
  next: number;
}

/**
 * The entries of the tree, the root first, each directory before what it contains, names in byte order.
 * @throws FormatError or LimitError on the first thing that is wrong
 */
export function* walkImage(reader: InodeReader, where: Where): Generator<WalkedEntry> {
  const inodes = new InodeCensus(reader);
  const { rootNid, version } = reader.header;
  const root = inodes.meet({ name: '' as ByteString, nid: rootNid, type: direntType('directory') }) as ImageInode;
  const frames: Frame[] = [];
  const enter = (directory: ImageInode): void => {
    const parentNid = frames.at(-1)?.directory.nid ?? directory.nid;
    if (frames.length > MAX_TREE_DEPTH)
      throw new LimitError(`more than ${MAX_TREE_DEPTH} directories inside one another`, {
        ...where,
        field: 'depth',
        offset: directory.offset,
      });
    frames.push({ directory, entries: readEntries(reader, directory, parentNid), next: 0 });
  };
  yield { name: '' as ByteString, depth: 0, nid: rootNid, inode: root, isStub: false };
  enter(root);
  if (version !== 2) requireStubNames(reader, root, frames[0].entries);
  for (let frame = frames.at(-1); frame !== undefined; frame = frames.at(-1)) {
    if (frame.next === frame.entries.length) {
      frames.pop();
      continue;
    }
    const entry = frame.entries[frame.next++];
    const inode = inodes.meet(entry);
    const isStub = inode !== undefined && version !== 2 && inode.kind === 'character' && inode.u === 0;
    if (isStub) requireStub(reader, root, inode, frame.directory === root && STUB_NAME_SET.has(entry.name));
    yield { name: entry.name, depth: frames.length, nid: entry.nid, inode, isStub };
    if (inode?.kind === 'directory') enter(inode);
  }
  inodes.finish();
}

const STUB_NAME_SET = new Set(STUB_NAMES);

function requireStubNames(reader: InodeReader, root: ImageInode, entries: ImageEntry[]): void {
  const names = new Set(entries.map(({ name }) => name));
  const missing = STUB_NAMES.find((name) => !names.has(name));
  if (missing !== undefined) reader.fail('dirent.name', root.offset, `the root has no entry "${missing}"`);
}

/** In versions 0 and 1 the stubs are the only character devices 0:0: whiteouts are stored otherwise. */
function requireStub(reader: InodeReader, root: ImageInode, inode: ImageInode, isInPlace: boolean): void {
  const { permissions, uid, gid, mtimeSeconds, mtimeNanoseconds, nlink, xattrs, offset } = inode;
  const isLikeRoot =
    uid === root.uid &&
    gid === root.gid &&
    mtimeSeconds === root.mtimeSeconds &&
    mtimeNanoseconds === root.mtimeNanoseconds &&
    xattrs.every(({ name }) => name === SELINUX);
  if (!isInPlace || !isLikeRoot || permissions !== (STUB_MODE & 0o7777) || nlink !== 1)
    reader.fail('inode', offset, 'a character device 0:0 that is no stub');
}

/** Which inodes were met, as what, and how often. */
class InodeCensus {
  readonly #reader: InodeReader;
  /** By nid: directory entry type of what was met; 0: nothing yet. */
  readonly #types: Uint8Array;
  /** By nid, version 2 only: names that are still to come. */
  readonly #namesLeft: Uint32Array;

  constructor(reader: InodeReader) {
    this.#reader = reader;
    const slots = reader.content.sizeBytes / SLOT_BYTES;
    this.#types = new Uint8Array(slots);
    this.#namesLeft = new Uint32Array(reader.header.version === 2 ? slots : 0);
  }

  /** @returns the inode when it is met for the first time */
  meet({ name, nid, type }: ImageEntry): ImageInode | undefined {
    const reader = this.#reader;
    const known = nid < this.#types.length ? this.#types[nid] : 0;
    const offset = nid * SLOT_BYTES;
    if (known !== 0) {
      if (known === direntType('directory'))
        reader.fail('dirent.nid', offset, `directory ${nid} has a second name ${JSON.stringify(name)}`);
      if (known !== type) reader.fail('dirent.file_type', offset, mismatch(name, type, known));
      this.#count(nid);
      return undefined;
    }
    const inode = reader.inode(nid);
    const actual = direntType(inode.kind);
    if (actual !== type) reader.fail('dirent.file_type', offset, mismatch(name, type, actual));
    this.#types[nid] = actual;
    if (this.#namesLeft.length > 0 && inode.kind !== 'directory') {
      this.#namesLeft[nid] = inode.nlink;
      this.#count(nid);
    }
    return inode;
  }

  #count(nid: number): void {
    if (this.#namesLeft.length === 0) return;
    if (this.#namesLeft[nid] === 0)
      this.#reader.fail('inode.nlink', nid * SLOT_BYTES, `inode ${nid} has more names than it says`);
    this.#namesLeft[nid]--;
  }

  finish(): void {
    const nid = this.#namesLeft.findIndex((left) => left !== 0);
    if (nid >= 0) this.#reader.fail('inode.nlink', nid * SLOT_BYTES, `inode ${nid} has fewer names than it says`);
  }
}

const mismatch = (name: ByteString, type: number, actual: number): string =>
  `${name === '' ? 'the root' : JSON.stringify(name)} is entered as type ${type}, its inode is of type ${actual}`;
