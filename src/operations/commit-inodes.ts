/**
 * From a commit's objects straight to the inodes of its image: names, targets and content stay where they are in the commit stream,
 * and no file becomes a JavaScript object. The same tree as `treeOfCommit` makes.
 */

import { FormatError, LimitError } from '../errors.ts';
import { type ByteString, byteStringFromBytes, byteStringToText } from '../formats/byte-string.ts';
import { NO_OBJECT } from '../formats/commit-map.ts';
import { Content, DOTS_AT, InodeTable, NO_ENTRY } from '../formats/erofs/inode-table.ts';
import { MAX_TREE_DEPTH } from '../formats/erofs/limits.ts';
import {
  contentProblem,
  maxTargetBytes,
  type TreeProblem,
  targetProblem,
  xattrsProblem,
} from '../formats/erofs/tree-check.ts';
import type { ErofsOptions } from '../formats/erofs/writer.ts';
import { CHECKSUM_BYTES, digestBytes, idToBytes } from '../formats/ids.ts';
import { NumberedDigests } from '../formats/numbered-digests.ts';
import type { Dirmeta } from '../formats/ostree/dirmeta.ts';
import { ARCHIVE_TARGET_AT, type FileHeader, isSymlink } from '../formats/ostree/file-header.ts';
import type { Xattr } from '../formats/tree.ts';
import type { CommitObjects } from './commit-reader.ts';
import type { TreeShape } from './tree-shape.ts';

/** What kind of child an entry has that was not visited yet; its checksum's place is in `child` meanwhile. */
const Pending = { nothing: 0, file: 1, directory: 2 } as const;
const NOT_MET = -1;

/** @throws what the objects throw, and LimitError for what no image of that version can hold */
export function inodesOfCommit(objects: CommitObjects, shape: TreeShape, options: ErofsOptions): InodeTable {
  return new InodeBuilder(objects, shape, options).build();
}

class InodeBuilder {
  readonly #objects: CommitObjects;
  readonly #options: ErofsOptions;
  readonly #inodes: InodeTable;
  readonly #digests: NumberedDigests;
  /** By map entry: the inode of a file. */
  readonly #inodeOf: Int32Array;
  /** By entry. */
  readonly #pending: Uint8Array;
  readonly #dirmetas = new Map<number, Dirmeta>();
  readonly #sets = new Map<readonly Xattr[], number>();
  /** Directories from the root to where we are, and which entry of each comes next. */
  readonly #path: number[] = [];
  readonly #next: number[] = [];
  /** Names of a directory while they are sorted in: place of the name, its bytes, place of the checksum. */
  #files: number[] = [];
  #directories: number[] = [];

  constructor(objects: CommitObjects, { paths, directories }: TreeShape, options: ErofsOptions) {
    const idBytes = digestBytes(options.algorithm);
    const entries = paths - 1 + 2 * directories;
    this.#objects = objects;
    this.#options = options;
    this.#inodes = new InodeTable(objects.map.content, idBytes, { inodes: paths, entries });
    this.#inodes.times.push({ mtimeSeconds: 0n, mtimeNanoseconds: 0 });
    this.#digests = new NumberedDigests(idBytes);
    this.#inodeOf = new Int32Array(objects.map.count).fill(NOT_MET);
    this.#pending = new Uint8Array(entries);
  }

  build(): InodeTable {
    const inodes = this.#inodes;
    const objects = this.#objects;
    const { rootDirmeta, rootDirtree } = objects.commit();
    const root = this.#directory(NO_ENTRY, objects.find(idToBytes(rootDirmeta), 0, 'dirmeta'));
    this.#enter(root, root, objects.find(idToBytes(rootDirtree), 0, 'dirtree'));
    while (this.#path.length > 0) {
      const top = this.#path.length - 1;
      const directory = this.#path[top];
      const entry = this.#next[top];
      if (entry === inodes.at[directory] + inodes.more[directory]) {
        this.#path.pop();
        this.#next.pop();
        continue;
      }
      this.#next[top]++;
      if (this.#pending[entry] === Pending.file) this.#file(entry);
      else if (this.#pending[entry] === Pending.directory) this.#subdirectory(directory, entry);
    }
    inodes.digests = this.#digests.bytes;
    return inodes;
  }

  #subdirectory(parent: number, entry: number): void {
    const inodes = this.#inodes;
    const { content } = this.#objects.map;
    const place = inodes.child[entry];
    const dirtree = this.#objects.find(content, place, 'dirtree');
    const inode = this.#directory(entry, this.#objects.find(content, place + CHECKSUM_BYTES, 'dirmeta'));
    inodes.child[entry] = inode;
    inodes.nlink[parent]++;
    if (this.#path.length > MAX_TREE_DEPTH)
      throw new LimitError(
        `directories are nested more than ${MAX_TREE_DEPTH} deep`,
        this.#objects.whereOf(dirtree, 'dirtree'),
      );
    this.#enter(inode, parent, dirtree);
  }

  /** Lists the entries of a directory, sorted, `.` and `..` among them. */
  #enter(inode: number, parent: number, dirtree: number): void {
    const inodes = this.#inodes;
    const base = this.#objects.map.dataStartAt(dirtree);
    this.#files.length = 0;
    this.#directories.length = 0;
    this.#objects.walkDirtree(dirtree, {
      file: (start, end, checksum) => void this.#files.push(base + start, end - start, base + checksum),
      directory: (start, end, checksums) => void this.#directories.push(base + start, end - start, base + checksums),
    });
    const count = 2 + (this.#files.length + this.#directories.length) / 3;
    const first = inodes.addEntries(count);
    inodes.at[inode] = first;
    inodes.more[inode] = count;
    const dots = [DOTS_AT, 1, inode, DOTS_AT, 2, parent];
    const lists = [
      { names: dots, next: 0, pending: Pending.nothing },
      { names: this.#files, next: 0, pending: Pending.file },
      { names: this.#directories, next: 0, pending: Pending.directory },
    ];
    for (let entry = first; entry < first + count; entry++) {
      let least = lists[0];
      for (const list of lists) if (this.#isBefore(list, least)) least = list;
      const { names, next, pending } = least;
      inodes.setName(entry, names[next], names[next + 1]);
      inodes.child[entry] = names[next + 2];
      this.#pending[entry] = pending;
      least.next += 3;
    }
    this.#path.push(inode);
    this.#next.push(first);
  }

  /** Whether the next name of `a` comes before that of `b`. */
  #isBefore(a: { names: number[]; next: number }, b: { names: number[]; next: number }): boolean {
    if (a.next === a.names.length) return false;
    if (b.next === b.names.length) return true;
    return this.#inodes.compareNames(a.names[a.next], a.names[a.next + 1], b.names[b.next], b.names[b.next + 1]) < 0;
  }

  #directory(home: number, index: number): number {
    let dirmeta = this.#dirmetas.get(index);
    if (dirmeta === undefined) {
      dirmeta = this.#objects.dirmeta(this.#objects.map.checksumAt(index));
      this.#dirmetas.set(index, dirmeta);
    }
    return this.#add(Content.directory, dirmeta, home, 2);
  }

  #add(content: number, { uid, gid, mode, xattrs }: Dirmeta, home: number, nlink: number): number {
    const inodes = this.#inodes;
    const inode = inodes.add(content, mode, home);
    inodes.uid[inode] = uid;
    inodes.gid[inode] = gid;
    inodes.nlink[inode] = nlink;
    inodes.xattrSet[inode] = this.#xattrSet(xattrs);
    return inode;
  }

  /** Files with the same checksum are one inode. */
  #file(entry: number): void {
    const inodes = this.#inodes;
    const index = this.#objects.find(this.#objects.map.content, inodes.child[entry], 'file');
    let inode = this.#inodeOf[index];
    if (inode === NOT_MET) {
      inode = this.#newFile(index, entry);
      this.#inodeOf[index] = inode;
    } else {
      inodes.nlink[inode]++;
    }
    inodes.child[entry] = inode;
  }

  #newFile(index: number, entry: number): number {
    const inodes = this.#inodes;
    const { map } = this.#objects;
    const { header, sizeBytes, contentStart } = this.#objects.fileAt(index);
    const object = map.objectNumberAt(index);
    if (object !== NO_OBJECT) {
      const inode = this.#add(Content.external, header, entry, 1);
      const number = 1 + this.#digests.add(map.objectRefs, object * inodes.digestBytes);
      inodes.size[inode] = sizeBytes;
      inodes.at[inode] = number;
      inodes.more[inode] = number;
      return inode;
    }
    const isLink = isSymlink(header);
    this.#demand(isLink ? this.#targetProblem(header) : contentProblem(sizeBytes, this.#options));
    const inode = this.#add(isLink ? Content.symlink : Content.inline, header, entry, 1);
    inodes.size[inode] = isLink ? header.target.length : sizeBytes;
    inodes.at[inode] = isLink ? map.dataStartAt(index) + ARCHIVE_TARGET_AT : contentStart;
    return inode;
  }

  #targetProblem({ target }: FileHeader): TreeProblem | undefined {
    return targetProblem(target, maxTargetBytes(this.#options));
  }

  #xattrSet(xattrs: Xattr[]): number {
    if (xattrs.length === 0) return 0;
    const known = this.#sets.get(xattrs);
    if (known !== undefined) return known;
    this.#demand(xattrsProblem(xattrs, this.#options.version !== 2));
    const number = this.#inodes.xattrSets.push(xattrs) - 1;
    this.#sets.set(xattrs, number);
    return number;
  }

  /** @throws what is wrong with the entry that was looked at last */
  #demand(problem: TreeProblem | undefined): void {
    if (problem === undefined) return;
    const names = this.#next.map((next) => this.#name(next - 1));
    const file = byteStringToText(`/${names.join('/')}` as ByteString);
    throw new (problem.isLimit ? LimitError : FormatError)(problem.problem, {
      file,
      format: 'tree',
      field: problem.field,
    });
  }

  #name(entry: number): ByteString {
    const name = new Uint8Array(this.#inodes.nameBytes[entry]);
    this.#inodes.copyName(entry, name, 0);
    return byteStringFromBytes(name);
  }
}
