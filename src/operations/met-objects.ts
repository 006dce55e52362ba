/**
 * The objects that a walk through a commit's trees has met, each numbered once. Those of a base have their numbers there; only the
 * others need a table of their own. Flat, for there may be millions.
 */

import { FormatError, type Where } from '../errors.ts';
import type { CommitMap } from '../formats/commit-map.ts';
import { CHECKSUM_BYTES, checksumFromBytes } from '../formats/ids.ts';
import { NumberedDigests } from '../formats/numbered-digests.ts';

export type ObjectKind = 'dirtree' | 'dirmeta' | 'file';
/** 0 is an object of the base that was not met. The addon has the same numbers (native/base-walk.cc). */
const KINDS: readonly (ObjectKind | undefined)[] = [undefined, 'dirtree', 'dirmeta', 'file'];

export class MetObjects {
  readonly #base: CommitMap | undefined;
  /** For each entry of the base what it was met as, a number of `KINDS`. Whoever writes there meets it. */
  readonly baseKinds: Uint8Array;
  readonly #others = new NumberedDigests(CHECKSUM_BYTES);
  readonly #otherKinds: number[] = [];
  readonly #where: Where;

  /** @param where told of by errors */
  constructor(base: CommitMap | undefined, where: Where) {
    this.#base = base;
    this.baseKinds = new Uint8Array(base?.count ?? 0);
    this.#where = where;
  }

  /**
   * @param checksum 32 raw bytes at `offset`
   * @returns the object's number; the complement of it, which is negative, when it was met before
   * @throws FormatError when it was met as another kind of object
   */
  meet(checksum: Uint8Array, offset: number, kind: ObjectKind): number {
    const wanted = KINDS.indexOf(kind);
    const baseIndex = this.#base?.findBytes(checksum, offset) ?? -1;
    let number = baseIndex;
    let known: number;
    if (baseIndex >= 0) {
      known = this.baseKinds[baseIndex];
      if (known === 0) this.baseKinds[baseIndex] = wanted;
    } else {
      const { count } = this.#others;
      const other = this.#others.add(checksum, offset);
      if (other === count) this.#otherKinds.push(wanted);
      known = other === count ? 0 : this.#otherKinds[other];
      number = this.baseKinds.length + other;
    }
    if (known === 0) return number;
    if (known === wanted) return ~number;
    throw new FormatError(`the commit uses one object as ${KINDS[known]} and as ${kind}`, {
      ...this.#where,
      object: `${checksumFromBytes(checksum, offset)}.${kind}`,
    });
  }

  /** Whether that is the number of an entry of the base. */
  isInBase(number: number): boolean {
    return number < this.baseKinds.length;
  }

  /** The raw checksum; a view that the next meet() may leave behind. */
  checksumBytesAt(number: number): Uint8Array {
    if (this.#base !== undefined && this.isInBase(number)) return this.#base.checksumBytesAt(number);
    return this.#others.at(number - this.baseKinds.length);
  }

  /** The end of it: nothing can be asked any more, and the memory is free. */
  release(): void {
    this.#others.release();
  }
}
