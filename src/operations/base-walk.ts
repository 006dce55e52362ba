/**
 * The part of a walk through a commit's trees that a base commit knows, done by the addon: most directories of an update are those of
 * the base, and most files of the others are too. What is not exactly as it should be is left to `tree-walk.ts`, which tells what it is.
 */

import type { CommitMapBuilder } from '../formats/commit-map-builder.ts';
import type { BaseWalkResult, NativeAddon } from '../native.ts';
import type { CommitObjects } from './commit-reader.ts';
import type { MetObjects } from './met-objects.ts';
import type { DirectoryEntries } from './tree-shape.ts';

/** Instead of a number, for the dirtree whose bytes were given. */
const GIVEN_BYTES = 0xffff_ffff;

export class BaseWalk {
  readonly #addon: NativeAddon;
  readonly #base: CommitObjects;
  readonly #met: MetObjects;
  readonly #builder: CommitMapBuilder;

  /** @param base that of `met` and `builder` */
  constructor(addon: NativeAddon, base: CommitObjects, met: MetObjects, builder: CommitMapBuilder) {
    this.#addon = addon;
    this.#base = base;
    this.#met = met;
    this.#builder = builder;
  }

  /**
   * What is met on the way is marked as met, and what of it can be taken over is in the builder.
   * @param dirtree number of one that the base has, or the bytes of any
   * @throws LimitError as `CommitMapBuilder.take`
   */
  walk(dirtree: number | Uint8Array, depth: number): BaseWalked {
    const { map, proved } = this.#base;
    const { baseKinds } = this.#met;
    const result = this.#addon.walkBase(map.content, baseKinds, this.#builder.takenMarks, proved, dirtree, depth);
    const walked = new BaseWalked(result);
    this.#builder.addTaken(walked.metadata + walked.files, result.sums[3]);
    return walked;
  }
}

/** What a walk came to. */
export class BaseWalked {
  readonly #result: BaseWalkResult;

  constructor(result: BaseWalkResult) {
    this.#result = result;
  }

  /** Objects that were taken over, and the bytes of their data. */
  get metadata(): number {
    return this.#result.sums[0];
  }
  get files(): number {
    return this.#result.sums[1];
  }
  get bytes(): number {
    return this.#result.sums[2];
  }

  /** Number and depth of each dirmeta that was met first. */
  dirmetas(): Iterable<[number: number, depth: number]> {
    return pairs(this.#result.dirmetas);
  }
  /** The same of dirtrees that were met and not looked into. */
  left(): Iterable<[number: number, depth: number]> {
    return pairs(this.#result.left);
  }

  /** Dirtrees of the base that were looked into. */
  *directories(): Iterable<[number: number, entries: DirectoryEntries]> {
    for (const [number, entries] of this.#directories()) if (number !== GIVEN_BYTES) yield [number, entries];
  }

  /** Where the given bytes lead to; undefined when they are to be looked into again. */
  given(): (DirectoryEntries & Pick<BaseWalkResult, 'unknownFiles' | 'unknownDirectories'>) | undefined {
    const { unknownFiles, unknownDirectories } = this.#result;
    const first = this.#directories().next();
    if (first.done || first.value[0] !== GIVEN_BYTES) return undefined;
    return { ...first.value[1], unknownFiles, unknownDirectories };
  }

  *#directories(): Generator<[number: number, entries: DirectoryEntries]> {
    const { directories } = this.#result;
    for (let at = 0; at < directories.length; ) {
      const end = at + 3 + directories[at + 2];
      yield [directories[at], { files: directories[at + 1], children: directories.subarray(at + 3, end) }];
      at = end;
    }
  }
}

function* pairs(values: Uint32Array): Iterable<[number, number]> {
  for (let i = 0; i < values.length; i += 2) yield [values[i], values[i + 1]];
}
