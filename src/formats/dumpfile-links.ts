/**
 * Hardlink lines of a dumpfile: resolved when all lines are known, since targets may come later and be links
 * themselves.
 */

import type { ByteString } from './byte-string.ts';
import { byteStringToText } from './byte-string.ts';
import { isWhiteout } from './erofs/plan.ts';
import type { Directory, Leaf } from './tree.ts';

/** Where a line or field stands in a dumpfile. */
export interface LinePlace {
  line: number;
  /** Bytes from the start of the file. */
  offset: number;
}

export interface DumpfileLink {
  parent: Directory;
  name: ByteString;
  path: ByteString;
  /** Path of the target. */
  target: ByteString;
  place: LinePlace;
  state?: 'resolving';
}

/** Stands in a directory for a link until that is resolved. */
const PENDING: Leaf = {
  kind: 'fifo',
  permissions: 0,
  uid: 0,
  gid: 0,
  mtimeSeconds: 0n,
  mtimeNanoseconds: 0,
  xattrs: [],
};

interface LinkedLeaf {
  leaf: Leaf;
  own: { directory: Directory; name: ByteString; path: ByteString };
  entries: number;
  /** The first entry of all in depth-first order. */
  firstPath: ByteString;
}

type Fail = (problem: string, place: LinePlace) => never;

export class DumpfileLinks {
  readonly #directories: ReadonlyMap<ByteString, Directory>;
  readonly #fail: Fail;
  readonly #pending = new Map<ByteString, DumpfileLink>();
  readonly #linked = new Map<Leaf, LinkedLeaf>();

  /** @param directories by path without trailing slash */
  constructor(directories: ReadonlyMap<ByteString, Directory>, fail: Fail) {
    this.#directories = directories;
    this.#fail = fail;
  }

  add(link: DumpfileLink): void {
    link.parent.entries.set(link.name, PENDING);
    this.#pending.set(link.path, link);
  }

  resolve(): void {
    for (const link of this.#pending.values()) this.#resolveChain(link);
    for (const { leaf, own, entries, firstPath } of this.#linked.values()) {
      const stated = leaf.nlink ?? 1;
      if (stated === entries) delete leaf.nlink;
      else leaf.nlink = stated;
      if (firstPath !== own.path) leaf.origin = { directory: own.directory, name: own.name };
    }
  }

  /** Follows a link, and links that it leads to, to the inode; each link is followed once. */
  #resolveChain(first: DumpfileLink): void {
    const chain: DumpfileLink[] = [];
    for (let link: DumpfileLink | undefined = first; link !== undefined; link = this.#pending.get(link.target)) {
      if (link.state === 'resolving') this.#fail('hardlinks lead in a circle', link.place);
      if (link.parent.entries.get(link.name) !== PENDING) break;
      link.state = 'resolving';
      chain.push(link);
    }
    for (let link = chain.pop(); link !== undefined; link = chain.pop()) {
      const leaf = this.#target(link);
      link.parent.entries.set(link.name, leaf);
      link.state = undefined;
      this.#count(leaf, link);
    }
  }

  #target({ target, place }: DumpfileLink): Leaf {
    const slash = target.lastIndexOf('/');
    const directory = this.#directories.get(target.slice(0, Math.max(slash, 0)) as ByteString);
    const inode = slash < 0 ? undefined : directory?.entries.get(target.slice(slash + 1) as ByteString);
    if (target === '/' || inode?.kind === 'directory') this.#fail('a directory cannot have two names', place);
    if (inode === undefined) return this.#fail(`there is no ${JSON.stringify(byteStringToText(target))}`, place);
    if (isWhiteout(inode)) this.#fail('a whiteout cannot have two names', place);
    return inode as Leaf;
  }

  #count(leaf: Leaf, link: DumpfileLink): void {
    let linked = this.#linked.get(leaf);
    if (linked === undefined) {
      // the first link to be resolved of an inode leads to the inode's own line
      const path = link.target;
      const slash = path.lastIndexOf('/');
      const directory = this.#directories.get(path.slice(0, slash) as ByteString) as Directory;
      const own = { directory, name: path.slice(slash + 1) as ByteString, path };
      linked = { leaf, own, entries: 1, firstPath: path };
      this.#linked.set(leaf, linked);
    }
    linked.entries++;
    if (isBefore(link.path, linked.firstPath)) linked.firstPath = link.path;
  }
}

/**
 * Whether a depth-first walk in byte order of the names meets `a` first: as if the slash came before every other byte.
 */
function isBefore(a: ByteString, b: ByteString): boolean {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    if (a[i] === b[i]) continue;
    if (a[i] === '/' || b[i] === '/') return a[i] === '/';
    return a[i] < b[i];
  }
  return a.length < b.length;
}
