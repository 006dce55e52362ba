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
  /** Called after each object that was taken over, with the bytes it brought. */
  onReused(bytes: number): void;
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
  #root = 0;
  /** By the numbers of their dirtrees. */
  readonly #directories = new Map<number, DirectoryEntries>();
  /** Met, and not looked into yet. */
  readonly #pending: MetadataItem[] = [];

  constructor(options: TreeWalkOptions) {
    this.#options = options;
    this.#met = new MetObjects(options.known.main?.map, options.where);
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
    for (let item = this.#pending.pop(); item !== undefined; item = this.#pending.pop()) {
      const bytes = this.#reuseMetadata(item);
      if (bytes === undefined) this.missingMetadata.push(item);
      else this.#look(item, bytes);
    }
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
    this.#options.onReused(bytes.length);
    return bytes;
  }

  /** Wants what it leads to. */
  #look({ number, type, depth }: MetadataItem, bytes: Uint8Array): void {
    const at = this.#whereOf(number, type);
    if (type === 'dirmeta') {
      parseDirmeta(bytes, at);
      return;
    }
    if (depth > MAX_TREE_DEPTH) throw new LimitError(`directories are nested more than ${MAX_TREE_DEPTH} deep`, at);
    let files = 0;
    const children: number[] = [];
    walkDirtree(bytes, at, {
      file: (_start, _end, checksum) => {
        files++;
        this.#wantFile(bytes, checksum);
      },
      directory: (_start, _end, checksums) => {
        this.#wantMetadata(bytes, checksums + CHECKSUM_BYTES, 'dirmeta', depth + 1);
        children.push(this.#wantMetadata(bytes, checksums, 'dirtree', depth + 1));
      },
    });
    this.#directories.set(number, { files, children });
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
    this.#options.onReused(main.map.dataBytesAt(number));
    this.reused.files++;
    return true;
  }

  #reuse(checksum: Uint8Array, { data, object }: KnownFile): void {
    this.#options.builder.add(checksum, data, object);
    this.#options.onReused(data.length);
    this.reused.files++;
  }
}
