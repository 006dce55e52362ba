/** A tree as the inodes of an image: checked, each listed once, without recursion. */

import { FormatError, LimitError } from '../../errors.ts';
import { type ByteString, byteStringFromBytes, byteStringToText } from '../byte-string.ts';
import { digestBytes, idToBytes, objectRelativePath } from '../ids.ts';
import { NumberedDigests } from '../numbered-digests.ts';
import { grow, type OwnedBytes } from '../owned-bytes.ts';
import { type Directory, type ExternalFile, type Inode, type Leaf, modeOf } from '../tree.ts';
import { Content, DOTS_AT, HAS_WHITEOUT, InodeTable, IS_WHITEOUT, NO_ENTRY } from './inode-table.ts';
import { MAX_TREE_DEPTH } from './limits.ts';
import type { ErofsOptions } from './options.ts';
import { objectOfPath } from './overlay.ts';
import { leafProblem, metadataProblem, nameProblem, type TreeProblem } from './tree-check.ts';

const DOT = '.' as ByteString;
const DOT_DOT = '..' as ByteString;
const FIRST_BYTES = 4096;

/** A character device 0:0, which hides a name of the layers below. */
export const isWhiteout = (inode: Inode): boolean => inode.kind === 'character' && inode.rdev === 0;

/**
 * All inodes of a tree.
 * @throws FormatError or LimitError for what no image of that version can hold, naming the path
 */
export function planTree(root: Directory, options: ErofsOptions): InodeTable {
  const planner = new Planner(options);
  planner.run(root);
  return planner.finish();
}

/** A directory from the root to where we are. */
interface OpenDirectory {
  inode: number;
  directory: Directory;
  names: ByteString[];
  /** Which of them comes next. */
  next: number;
}

class Planner {
  readonly #options: ErofsOptions;
  readonly #inodes: InodeTable;
  readonly #digests: NumberedDigests;
  readonly #paths = new Map<ByteString, number>();
  readonly #sets = new Map<string, number>([['', 0]]);
  readonly #times = new Map<string, number>();
  readonly #known = new Map<Inode, number>();
  readonly #path: OpenDirectory[] = [];
  #bytes: OwnedBytes = new Uint8Array(FIRST_BYTES);
  #bytesEnd = 0;

  constructor(options: ErofsOptions) {
    this.#options = options;
    this.#inodes = new InodeTable(this.#bytes, digestBytes(options.algorithm), { inodes: 0, entries: 0 });
    this.#digests = new NumberedDigests(this.#inodes.digestBytes);
  }

  run(root: Directory): void {
    const inode = this.#add(root, Content.directory, NO_ENTRY);
    this.#enter(inode, root);
    for (let open = this.#path.at(-1); open !== undefined; open = this.#path.at(-1)) {
      if (open.next === open.names.length) this.#path.pop();
      else this.#entry(open, this.#inodes.at[open.inode] + open.next, open.names[open.next++]);
    }
  }

  finish(): InodeTable {
    const inodes = this.#inodes;
    inodes.bytes = this.#bytes;
    inodes.digests = this.#digests.bytes;
    inodes.paths = [...this.#paths.keys()];
    return inodes;
  }

  #entry(open: OpenDirectory, entry: number, name: ByteString): void {
    const inodes = this.#inodes;
    const child = open.directory.entries.get(name);
    if (child === undefined) {
      const parent = this.#path.length > 1 ? this.#path[this.#path.length - 2].inode : open.inode;
      inodes.setName(entry, DOTS_AT, name.length);
      inodes.child[entry] = name === DOT ? open.inode : parent;
      return;
    }
    inodes.setName(entry, this.#text(name), name.length);
    if (child.kind !== 'directory') {
      inodes.child[entry] = this.#link(child, open, entry, name);
      return;
    }
    if (this.#known.has(child)) this.#refuse({ field: 'entries', problem: 'a directory cannot have two names' });
    inodes.nlink[open.inode]++;
    const inode = this.#add(child, Content.directory, entry);
    inodes.child[entry] = inode;
    this.#enter(inode, child);
  }

  /** An entry of a leaf: its first, or one more. */
  #link(leaf: Leaf, open: OpenDirectory, entry: number, name: ByteString): number {
    const inodes = this.#inodes;
    const known = this.#known.get(leaf);
    if (known === undefined) return this.#leaf(leaf, open.inode, entry);
    if (isWhiteout(leaf)) this.#refuse({ field: 'entries', problem: 'a whiteout cannot have two names' });
    if (leaf.origin !== undefined && leaf.origin.directory === open.directory && leaf.origin.name === name)
      inodes.home[known] = entry;
    if (this.#countsLinks(leaf)) inodes.nlink[known]++;
    return known;
  }

  #leaf(leaf: Leaf, directory: number, entry: number): number {
    this.#demand(leafProblem(leaf, this.#options));
    const inodes = this.#inodes;
    const inode = this.#add(leaf, contentOf(leaf), entry);
    inodes.nlink[inode] = this.#countsLinks(leaf) ? 1 : (leaf.nlink ?? 1);
    if (isWhiteout(leaf)) {
      inodes.flags[inode] = IS_WHITEOUT;
      inodes.flags[directory] |= HAS_WHITEOUT;
    }
    switch (leaf.kind) {
      case 'file':
        inodes.at[inode] = this.#content(leaf.content);
        inodes.size[inode] = leaf.content.length;
        break;
      case 'symlink':
        inodes.at[inode] = this.#text(leaf.target);
        inodes.size[inode] = leaf.target.length;
        break;
      case 'external':
        if (leaf.sizeBytes > 0) this.#body(inode, leaf);
        break;
      case 'character':
      case 'block':
        inodes.size[inode] = leaf.rdev;
    }
    return inode;
  }

  /** Version 2 has no use for link counts that somebody states. */
  #countsLinks(leaf: Leaf): boolean {
    return leaf.nlink === undefined || this.#options.version === 2;
  }

  #body(inode: number, leaf: ExternalFile): void {
    const { digest } = leaf;
    const path = this.#options.version === 2 ? this.#objectPath(leaf) : leaf.payload;
    this.#inodes.size[inode] = leaf.sizeBytes;
    if (digest !== undefined) this.#inodes.at[inode] = 1 + this.#digests.add(idToBytes(digest));
    if (path !== undefined) this.#inodes.more[inode] = numberOf(this.#paths, path, 1);
  }

  /** Version 2 finds the body by its digest, or by the object that the end of its path names where it has none. */
  #objectPath({ digest, payload }: ExternalFile): ByteString | undefined {
    const object = digest ?? (payload === undefined ? undefined : objectOfPath(payload, this.#options.algorithm));
    return object && (objectRelativePath(object) as string as ByteString);
  }

  #add(inode: Inode, content: number, home: number): number {
    this.#demand(metadataProblem(inode, this.#options));
    const inodes = this.#inodes;
    const number = inodes.add(content, modeOf(inode), home);
    this.#known.set(inode, number);
    inodes.uid[number] = inode.uid;
    inodes.gid[number] = inode.gid;
    inodes.xattrSet[number] = this.#xattrSet(inode);
    const { mtimeSeconds, mtimeNanoseconds } = inode;
    const time = numberOf(this.#times, `${mtimeSeconds}.${mtimeNanoseconds}`, 0);
    if (time === inodes.times.length) inodes.times.push({ mtimeSeconds, mtimeNanoseconds });
    inodes.time[number] = time;
    return number;
  }

  #xattrSet({ xattrs }: Inode): number {
    if (xattrs.length === 0) return 0;
    const key = xattrs
      .map(({ name, value }) => `${name.length} ${value.length} ${name}${byteStringFromBytes(value)}`)
      .join();
    const number = numberOf(this.#sets, key, 0);
    if (number === this.#inodes.xattrSets.length) this.#inodes.xattrSets.push(xattrs);
    return number;
  }

  #enter(inode: number, directory: Directory): void {
    if (this.#path.length > MAX_TREE_DEPTH)
      this.#refuse({
        field: 'depth',
        problem: `more than ${MAX_TREE_DEPTH} directories inside one another`,
        isLimit: true,
      });
    const names = [...directory.entries.keys()];
    const open: OpenDirectory = { inode, directory, names, next: 0 };
    this.#path.push(open);
    for (const name of names) this.#demand(nameProblem(name));
    names.push(DOT, DOT_DOT);
    names.sort(); // by UTF-16 unit, which is by byte here
    this.#inodes.nlink[inode] = 2;
    this.#inodes.at[inode] = this.#inodes.addEntries(names.length);
    this.#inodes.more[inode] = names.length;
  }

  /** @returns where they are */
  #text(text: ByteString): number {
    const at = this.#room(text.length);
    for (let i = 0; i < text.length; i++) this.#bytes[at + i] = text.charCodeAt(i);
    return at;
  }

  #content(content: Uint8Array): number {
    const at = this.#room(content.length);
    this.#bytes.set(content, at);
    return at;
  }

  #room(bytes: number): number {
    const at = this.#bytesEnd;
    this.#bytesEnd += bytes;
    if (this.#bytesEnd > this.#bytes.length)
      this.#bytes = grow(this.#bytes, Math.max(this.#bytesEnd, 2 * this.#bytes.length));
    return at;
  }

  #demand(problem: TreeProblem | undefined): void {
    if (problem !== undefined) this.#refuse(problem);
  }

  #refuse({ field, problem, isLimit }: TreeProblem): never {
    const names = this.#path.map(({ names, next }) => (next === 0 ? undefined : names[next - 1]));
    const file = byteStringToText(`/${names.filter((name) => name !== undefined).join('/')}` as ByteString);
    throw new (isLimit ? LimitError : FormatError)(problem, { file, format: 'tree', field });
  }
}

/** An external file without bytes is an empty one. */
function contentOf(leaf: Leaf): number {
  switch (leaf.kind) {
    case 'file':
      return Content.inline;
    case 'external':
      return leaf.sizeBytes > 0 ? Content.external : Content.inline;
    case 'symlink':
      return Content.symlink;
    case 'character':
    case 'block':
      return Content.device;
    default:
      return Content.none;
  }
}

/** Number of a key, counted from `first`; a new one gets the next. */
function numberOf<Key>(numbers: Map<Key, number>, key: Key, first: number): number {
  let number = numbers.get(key);
  if (number === undefined) {
    number = first + numbers.size;
    numbers.set(key, number);
  }
  return number;
}
