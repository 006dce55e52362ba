/**
 * Files of a commit whose content is an object: read once, and proved against the id of the object and the checksum of the file
 * together. A few batches are under way while the next ones are looked for.
 */

import type { CfsError } from '../errors.ts';
import { CHECKSUM_BYTES, digestBytes, type ObjectId } from '../formats/ids.ts';
import { joined } from '../formats/owned-bytes.ts';
import { nodeHashing } from '../native.ts';
import type { DigestTable } from '../store/digest-table.ts';
import type { ObjectProofs } from '../store/hash-files.ts';
import type { Repository } from '../store/repository.ts';
import { type ExternalFile, externalFileProblem } from './commit-check.ts';
import type { CommitObjects } from './commit-reader.ts';
import type { ObjectsCheck } from './fsck-objects.ts';

const MAX_BATCHES = 8;
const PROVED = 1;
const SIZE_BYTES = 8;

interface FileToProve extends ExternalFile {
  /** Digest of all that is proved together: checksum, object, size and header. */
  proofKey: Uint8Array;
}

export class ExternalFilesCheck {
  readonly #repo: Repository;
  readonly #objectsCheck: ObjectsCheck;
  readonly #commit: CommitObjects;
  readonly #proved: DigestTable;
  readonly #contents: boolean;
  readonly #underWay: Array<Promise<void>> = [];
  readonly #problems: CfsError[] = [];
  /** Size, checksum and object of a file, for its proof key. */
  readonly #keyStart: Uint8Array;
  readonly #keySize: DataView;

  /**
   * @param proved files of any commit that were found right
   * @param contents whether contents are read; else sizes are compared
   */
  constructor(
    repo: Repository,
    objectsCheck: ObjectsCheck,
    commit: CommitObjects,
    proved: DigestTable,
    contents: boolean,
  ) {
    this.#repo = repo;
    this.#objectsCheck = objectsCheck;
    this.#commit = commit;
    this.#proved = proved;
    this.#contents = contents;
    this.#keyStart = new Uint8Array(SIZE_BYTES + CHECKSUM_BYTES + digestBytes(repo.algorithm));
    this.#keySize = new DataView(this.#keyStart.buffer, 0, SIZE_BYTES);
  }

  /** Waits only while too much is under way. Missing objects have findings already. */
  async add(files: ExternalFile[]): Promise<void> {
    const left: FileToProve[] = [];
    for (const file of files) {
      if (!this.#isThere(file)) continue;
      const proofKey = this.#proofKey(file);
      if (this.#proved.flags(proofKey) === 0) left.push({ ...file, proofKey });
    }
    if (left.length === 0) return;
    if (this.#underWay.length >= MAX_BATCHES) await this.#underWay.shift();
    const check = this.#check(left);
    check.catch(() => {}); // whoever awaits it is told
    this.#underWay.push(check);
  }

  /** @returns what is wrong with any of them, when all are done */
  async finish(): Promise<CfsError[]> {
    await Promise.all(this.#underWay.splice(0));
    return this.#problems;
  }

  #isThere({ index }: ExternalFile): boolean {
    return this.#objectsCheck.existsAt(this.#commit.map.objectRefs, this.#idAt(index));
  }

  /** Where the object's id is in the map's `objectRefs`. */
  #idAt(index: number): number {
    return this.#commit.map.objectNumberAt(index) * digestBytes(this.#repo.algorithm);
  }

  async #check(files: FileToProve[]): Promise<void> {
    const doubtful = this.#contents ? await this.#unproved(files) : await this.#ofOtherSize(files);
    const hashed = this.#contents
      ? await this.#objectsCheck.hashWithHeaders(
          doubtful.map(({ index, contentHeader }) => ({
            object: this.#commit.map.externalAt(index) as ObjectId,
            contentHeader,
          })),
        )
      : undefined;
    const suspects = new Set(doubtful);
    for (const file of files) if (!suspects.has(file)) this.#proved.mark(PROVED, file.proofKey);
    for (const [i, file] of doubtful.entries()) {
      if (hashed?.[i].error !== undefined) continue; // the object has a finding of its own
      const object = this.#commit.map.externalAt(file.index) as ObjectId;
      const sizeBytes = hashed?.[i].sizeBytes ?? this.#repo.objects.sizeOfSync(object);
      const problem = externalFileProblem(this.#commit, file, { sizeBytes, checksum: hashed?.[i].checksums[0] });
      if (problem !== undefined) this.#problems.push(problem);
      else this.#proved.mark(PROVED, file.proofKey);
    }
  }

  /** Those that a closer look is needed at. */
  async #unproved(files: FileToProve[]): Promise<FileToProve[]> {
    const isProved = await this.#objectsCheck.prove(this.#ids(files), this.#proofs(files));
    return files.filter((_, i) => isProved[i] === 0);
  }

  async #ofOtherSize(files: FileToProve[]): Promise<FileToProve[]> {
    const sizes = await this.#repo.objects.sizesOf(this.#ids(files));
    return files.filter(({ sizeBytes }, i) => sizes[i] !== sizeBytes);
  }

  #ids(files: ExternalFile[]): Uint8Array {
    return joined(files.map(({ index }) => this.#commit.map.externalBytesAt(index) as Uint8Array));
  }

  #proofs(files: ExternalFile[]): ObjectProofs {
    const headerEnds = new Uint32Array(files.length);
    let end = 0;
    for (const [i, { contentHeader }] of files.entries()) {
      end += contentHeader.length;
      headerEnds[i] = end;
    }
    return {
      headers: joined(files.map(({ contentHeader }) => contentHeader)),
      headerEnds,
      checksums: joined(files.map(({ index }) => this.#commit.map.checksumBytesAt(index))),
      sizes: Float64Array.from(files, ({ sizeBytes }) => sizeBytes),
    };
  }

  /** Nothing is left out: a stream that differs in any of it has to be proved for itself. */
  #proofKey({ index, sizeBytes, contentHeader }: ExternalFile): Uint8Array {
    const { map } = this.#commit;
    this.#keySize.setFloat64(0, sizeBytes);
    this.#keyStart.set(map.checksumBytesAt(index), SIZE_BYTES);
    this.#keyStart.set(map.externalBytesAt(index) as Uint8Array, SIZE_BYTES + CHECKSUM_BYTES);
    return nodeHashing.sha256(this.#keyStart, contentHeader);
  }
}
