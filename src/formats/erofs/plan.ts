/** The inodes of a tree that is to be written: checked, counted, each listed once, without recursion. */

import { FormatError, LimitError } from '../../errors.ts';
import { type ByteString, byteStringToText } from '../byte-string.ts';
import type { Algorithm } from '../ids.ts';
import { type Directory, type Inode, type Leaf, modeOf } from '../tree.ts';
import { MAX_TREE_DEPTH } from './limits.ts';
import { leafProblem, metadataProblem, nameProblem, type TreeProblem } from './tree-check.ts';
import type { XattrPair } from './xattrs.ts';

/** `composefs_version` of an image. 0 and 1 have one layout, 2 another. */
export type ErofsVersion = 0 | 1 | 2;

export interface ErofsOptions {
  version: ErofsVersion;
  /** Of the digests in the tree. */
  algorithm: Algorithm;
}

/** One inode on its way into the image: first what it is, then where it goes. */
export class PlannedInode {
  readonly inode: Inode;
  /** As stored: in versions 0 and 1 a whiteout becomes a regular file. */
  mode: number;
  nlink: number;
  /** Directories: some entry is a whiteout. */
  hasWhiteout = false;
  /** The directory of the entry that is the inode's own, and that entry's name. None for the root. */
  home: PlannedInode | undefined;
  homeName: ByteString;
  /** Directories: all names, `.` and `..` too, sorted; and the inodes in the same order. */
  names: ByteString[] = NONE as ByteString[];
  children: PlannedInode[] = NONE as PlannedInode[];
  /** As stored, in stored order. */
  xattrs: XattrPair[] = NONE as XattrPair[];
  /** Of these, how many are references to the shared table. */
  sharedCount = 0;
  /** Bytes of the xattr area. */
  xattrBytes = 0;
  /** Bytes of the inode header. */
  headerBytes = 0;
  /** Where the inode is in the image. */
  offset = 0;
  /** Bytes behind the xattrs. */
  tailBytes = 0;
  blockCount = 0;
  firstBlock = 0;

  constructor(inode: Inode, home: PlannedInode | undefined, homeName: ByteString) {
    this.inode = inode;
    this.mode = modeOf(inode);
    this.nlink = inode.kind === 'directory' ? 2 : 0;
    this.home = home;
    this.homeName = homeName;
  }
}
const NONE: unknown[] = []; // most inodes have no names, children and xattrs; nothing is ever pushed into it

/** A character device 0:0, which hides a name of the layers below. */
export const isWhiteout = (inode: Inode): boolean => inode.kind === 'character' && inode.rdev === 0;

/** What of a file is in the image itself; an external file without bytes is an empty one. */
export const inlineContent = (inode: Inode): Uint8Array | undefined =>
  inode.kind === 'file' ? inode.content : inode.kind === 'external' && inode.sizeBytes === 0 ? NO_CONTENT : undefined;
const NO_CONTENT = new Uint8Array(0);

const DOT = '.' as ByteString;
const DOT_DOT = '..' as ByteString;

/**
 * All inodes in depth-first order, each directory before what it contains, leaves at their first entry.
 * @throws FormatError or LimitError for what no image of that version can hold, naming the path
 */
export function planTree(root: Directory, options: ErofsOptions): PlannedInode[] {
  const planner = new Planner(options);
  planner.run(root);
  return planner.list;
}

class Planner {
  readonly list: PlannedInode[] = [];
  readonly #options: ErofsOptions;
  readonly #known = new Map<Inode, PlannedInode>();
  /** The directories from the root to where we are, and which entry of each comes next. */
  readonly #path: PlannedInode[] = [];
  readonly #next: number[] = [];

  constructor(options: ErofsOptions) {
    this.#options = options;
  }

  run(root: Directory): void {
    this.#enter(this.#add(root, undefined, '' as ByteString));
    while (this.#path.length > 0) {
      const depth = this.#path.length - 1;
      const directory = this.#path[depth];
      if (this.#next[depth] === directory.names.length) {
        this.#path.pop();
        this.#next.pop();
      } else {
        const index = this.#next[depth]++;
        directory.children[index] = this.#child(directory, index);
      }
    }
  }

  #child(directory: PlannedInode, index: number): PlannedInode {
    const name = directory.names[index];
    const inode = (directory.inode as Directory).entries.get(name);
    if (inode === undefined) return name === DOT ? directory : (directory.home ?? directory);
    if (inode.kind === 'directory') {
      if (this.#known.has(inode)) this.#refuse({ field: 'entries', problem: 'a directory cannot have two names' });
      directory.nlink++;
      const child = this.#add(inode, directory, directory.names[index]);
      this.#enter(child);
      return child;
    }
    const child = this.#leaf(inode, directory, index);
    child.nlink++;
    return child;
  }

  #leaf(inode: Leaf, directory: PlannedInode, index: number): PlannedInode {
    const known = this.#known.get(inode);
    if (known === undefined) {
      this.#demand(leafProblem(inode, this.#options));
      if (isWhiteout(inode)) directory.hasWhiteout = true;
      return this.#add(inode, directory, directory.names[index]);
    }
    if (isWhiteout(inode)) this.#refuse({ field: 'entries', problem: 'a whiteout cannot have two names' });
    const { origin } = inode;
    if (origin !== undefined && origin.directory === directory.inode && origin.name === directory.names[index]) {
      known.home = directory;
      known.homeName = origin.name;
    }
    return known;
  }

  #add(inode: Inode, home: PlannedInode | undefined, homeName: ByteString): PlannedInode {
    this.#demand(metadataProblem(inode, this.#options));
    const planned = new PlannedInode(inode, home, homeName);
    this.#known.set(inode, planned);
    this.list.push(planned);
    return planned;
  }

  #enter(planned: PlannedInode): void {
    const { entries } = planned.inode as Directory;
    if (this.#path.length > MAX_TREE_DEPTH)
      this.#refuse({
        field: 'depth',
        problem: `more than ${MAX_TREE_DEPTH} directories inside one another`,
        isLimit: true,
      });
    this.#path.push(planned);
    this.#next.push(0);
    for (const name of entries.keys()) this.#demand(nameProblem(name));
    planned.names = [...entries.keys(), DOT, DOT_DOT].sort(); // by UTF-16 unit, which is by byte here
    planned.children = new Array(planned.names.length);
  }

  #demand(problem: TreeProblem | undefined): void {
    if (problem !== undefined) this.#refuse(problem);
  }

  #refuse({ field, problem, isLimit }: TreeProblem): never {
    const names = this.#path.map((directory, depth) => directory.names[this.#next[depth] - 1]);
    const file = byteStringToText(`/${names.filter((name) => name !== undefined).join('/')}` as ByteString);
    throw new (isLimit ? LimitError : FormatError)(problem, { file, format: 'tree', field });
  }
}
