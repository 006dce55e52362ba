/**
 * The walk through a commit's trees: what is known goes to the builder at once, in whatever order it is met; what is not is listed for
 * whoever fetches it.
 */

import { LimitError, type Where } from '../errors.ts';
import type { CommitMapBuilder } from '../formats/commit-map-builder.ts';
import { CHECKSUM_BYTES, type Checksum, checksumFromBytes, idToBytes } from '../formats/ids.ts';
import type { Commit } from '../formats/ostree/commit.ts';
import { parseDirmeta } from '../formats/ostree/dirmeta.ts';
import { walkDirtree } from '../formats/ostree/dirtree.ts';
import { MAX_TREE_DEPTH } from '../formats/ostree/limits.ts';
import type { NativeAddon } from '../native.ts';
import { BaseWalk, type BaseWalked } from './base-walk.ts';
import { type KnownFile, type KnownObjects, sound } from './known-objects.ts';
import { MetObjects, type ObjectKind } from './met-objects.ts';
import { type DirectoryEntries, measureDirectories, type TreeShape } from './tree-shape.ts';

type MetadataType = Exclude<ObjectKind, 'file'>;

export interface MetadataItem {
  /** For `checksumAt`. */
  number: number;
  type: MetadataType;
  /** Directories between this one and the root, on the way that met it first. */
  depth: number;
}

export interface TreeWalkOptions {
  known: KnownObjects;
  builder: CommitMapBuilder;
  where: Where;
  /** What the main base knows is walked through by the addon, where there is one. */
  addon: NativeAddon | undefined;
  /** Called after objects were taken over, with the bytes they brought. */
  onReused(bytes: number, objects: number): void;
  /** A file that the index knew of was looked for; `error` is what kept that from being done. */
  onLooked(error?: unknown): void;
}

export class TreeWalk {
  readonly reused = { metadata: 0, files: 0 };
  /** To be fetched; grows as the walk goes on. */
  readonly missingMetadata: MetadataItem[] = [];
  /** The same of files, by their numbers. */
  readonly missingFiles: number[] = [];
  /** Files that are being looked for. */
  looking = 0;
  readonly #options: TreeWalkOptions;
  readonly #met: MetObjects;
  /** What can be left to the addon. */
  readonly #baseWalk: BaseWalk | undefined;
  #root = 0;
  /** By the numbers of their dirtrees. */
  readonly #directories = new Map<number, DirectoryEntries>();
  /** Met, and not looked into yet. */
  readonly #pending: MetadataItem[] = [];
  /** The same, of what the addon has met and not looked into. */
  readonly #left: MetadataItem[] = [];

  constructor(options: TreeWalkOptions) {
    this.#options = options;
    const { main } = options.known;
    this.#met = new MetObjects(main?.map, options.where);
    if (main !== undefined && options.addon !== undefined)
      this.#baseWalk = new BaseWalk(options.addon, main, this.#met, options.builder);
  }

  /** @throws FormatError, LimitError */
  start({ rootDirmeta, rootDirtree }: Commit): void {
    this.#wantMetadata(idToBytes(rootDirmeta), 0, 'dirmeta', 0);
    this.#root = this.#wantMetadata(idToBytes(rootDirtree), 0, 'dirtree', 0);
    this.#goOn();
  }

  /** Goes on with metadata that was missing; its bytes are checked against its checksum. @throws FormatError, LimitError */
  add(item: MetadataItem, bytes: Uint8Array): void {
    this.#look(item, bytes);
    this.#options.builder.add(this.#met.checksumBytesAt(item.number), bytes);
    this.#goOn();
  }

  checksumAt(number: number): Checksum {
    return checksumFromBytes(this.checksumBytesAt(number));
  }
  /** A view that is good until the walk goes on. */
  checksumBytesAt(number: number): Uint8Array {
    return this.#met.checksumBytesAt(number);
  }

  /** When nothing is missing any more. @throws LimitError for a tree that no checkout could hold */
  measure(): TreeShape {
    return measureDirectories(
      this.#root,
      (dirtree) => this.#directories.get(dirtree) as DirectoryEntries,
      (dirtree) => this.#whereOf(dirtree, 'dirtree'),
    );
  }

  /** The end of it: nothing can be asked any more, and the memory is free. */
  release(): void {
    this.#met.release();
  }

  #whereOf(number: number, kind: ObjectKind): Where {
    return { ...this.#options.where, object: `${this.checksumAt(number)}.${kind}` };
  }

  /** @returns its number */
  #wantMetadata(checksums: Uint8Array, offset: number, type: MetadataType, depth: number): number {
    const number = this.#met.meet(checksums, offset, type);
    if (number < 0) return ~number;
    this.#pending.push({ number, type, depth });
    return number;
  }

  /** Takes metadata in as far as it is known, without recursion into the call stack; what is missing is listed. */
  #goOn(): void {
    for (;;) {
      const item = this.#pending.pop();
      const left = item === undefined ? this.#left.pop() : undefined;
      if (
        item !== undefined &&
        item.type === 'dirtree' &&
        this.#baseWalk !== undefined &&
        this.#met.isInBase(item.number)
      )
        this.#takeOver(this.#baseWalk.walk(item.number, item.depth));
      else if (item !== undefined) this.#goInto(item);
      else if (left !== undefined) this.#goInto(left);
      else break;
    }
  }

  #goInto(item: MetadataItem): void {
    const bytes = this.#reuseMetadata(item);
    if (bytes === undefined) this.missingMetadata.push(item);
    else this.#look(item, bytes);
  }

  /** What the addon has found in the base; what it has left is looked into later. */
  #takeOver(walked: BaseWalked): void {
    const { metadata, files, bytes } = walked;
    this.reused.metadata += metadata;
    this.reused.files += files;
    if (metadata + files > 0) this.#options.onReused(bytes, metadata + files);
    for (const [number, entries] of walked.directories()) this.#directories.set(number, entries);
    for (const [number, depth] of walked.dirmetas()) this.#pending.push({ number, type: 'dirmeta', depth });
    for (const [number, depth] of walked.left()) this.#left.push({ number, type: 'dirtree', depth });
  }

  /** A dirtree that the base need not have: what it leads to there is left to the addon. @returns false when it did not take it */
  #lookByAddon(baseWalk: BaseWalk, { number, depth }: MetadataItem, bytes: Uint8Array): boolean {
    const walked = baseWalk.walk(bytes, depth);
    this.#takeOver(walked);
    const given = walked.given();
    if (given === undefined) return false;
    for (const checksum of given.unknownFiles) this.#wantFile(bytes, checksum);
    const children = [...given.children];
    for (const checksums of given.unknownDirectories) children.push(this.#wantDirectory(bytes, checksums, depth + 1));
    this.#directories.set(number, { files: given.files, children });
    return true;
  }

  /** @returns the bytes of metadata that is known, and in the builder now */
  #reuseMetadata({ number, type }: MetadataItem): Uint8Array | undefined {
    const { known, builder } = this.#options;
    let bytes: Uint8Array | undefined;
    if (known.main !== undefined && this.#met.isInBase(number)) {
      const { main } = known;
      bytes = sound(() => main.metadataAt(number, type));
      if (bytes !== undefined) builder.take(number);
    }
    if (bytes === undefined) {
      const checksum = this.#met.checksumBytesAt(number);
      bytes = known.metadata(checksum, type);
      if (bytes === undefined) return undefined;
      builder.add(checksum, bytes);
    }
    this.reused.metadata++;
    this.#options.onReused(bytes.length, 1);
    return bytes;
  }

  /** Wants what it leads to. */
  #look(item: MetadataItem, bytes: Uint8Array): void {
    const { number, type, depth } = item;
    const at = this.#whereOf(number, type);
    if (type === 'dirmeta') {
      parseDirmeta(bytes, at);
      return;
    }
    if (depth > MAX_TREE_DEPTH) throw new LimitError(`directories are nested more than ${MAX_TREE_DEPTH} deep`, at);
    if (this.#baseWalk !== undefined && this.#lookByAddon(this.#baseWalk, item, bytes)) return;
    let files = 0;
    const children: number[] = [];
    walkDirtree(bytes, at, {
      file: (_start, _end, checksum) => {
        files++;
        this.#wantFile(bytes, checksum);
      },
      directory: (_start, _end, checksums) => {
        children.push(this.#wantDirectory(bytes, checksums, depth + 1));
      },
    });
    this.#directories.set(number, { files, children });
  }

  /** @param checksums of its dirtree, with that of its dirmeta behind it @returns number of the dirtree */
  #wantDirectory(bytes: Uint8Array, checksums: number, depth: number): number {
    this.#wantMetadata(bytes, checksums + CHECKSUM_BYTES, 'dirmeta', depth);
    return this.#wantMetadata(bytes, checksums, 'dirtree', depth);
  }

  #wantFile(bytes: Uint8Array, offset: number): void {
    const number = this.#met.meet(bytes, offset, 'file');
    if (number < 0 || this.#reuseFromMain(number)) return;
    const { known } = this.#options;
    const checksum = bytes.subarray(offset, offset + CHECKSUM_BYTES);
    const file = known.fileInBases(checksum);
    if (file !== undefined) {
      this.#reuse(checksum, file);
      return;
    }
    const claim = known.claim(checksum);
    if (claim === undefined) {
      this.missingFiles.push(number);
      return;
    }
    this.looking++;
    known
      .fileByClaim(checksum, claim)
      .then((found) => {
        if (found !== undefined) this.#reuse(checksum, found);
        else this.missingFiles.push(number);
      })
      .then(
        () => this.#looked(),
        (error: unknown) => this.#looked(error),
      );
  }

  #looked(error?: unknown): void {
    this.looking--;
    this.#options.onLooked(error);
  }

  /** Most files of an update are in one base: nothing is copied, and nothing is made for any of them. */
  #reuseFromMain(number: number): boolean {
    const { main } = this.#options.known;
    if (main === undefined || !this.#met.isInBase(number)) return false;
    if (sound(() => main.fileAt(number)) === undefined) return false;
    this.#options.builder.take(number);
    this.#options.onReused(main.map.dataBytesAt(number), 1);
    this.reused.files++;
    return true;
  }

  #reuse(checksum: Uint8Array, { data, object }: KnownFile): void {
    this.#options.builder.add(checksum, data, object);
    this.#options.onReused(data.length, 1);
    this.reused.files++;
  }
}
