/**
 * Files of a commit whose content is an object: read once, and proved against the id of the object and the checksum of the file
 * together. A few batches are under way while the next ones are looked for.
 */

import type { CfsError } from '../errors.ts';
import { CHECKSUM_BYTES, digestBytes, type ObjectId } from '../formats/ids.ts';
import { joined } from '../formats/owned-bytes.ts';
import type { DigestTable } from '../store/digest-table.ts';
import { type ObjectProofs, PROOF_KEY_BYTES, proofKeys } from '../store/hash-files.ts';
import type { Repository } from '../store/repository.ts';
import { externalFileProblem } from './commit-check.ts';
import type { CommitObjects } from './commit-reader.ts';
import type { ExternalFiles } from './external-files.ts';
import type { ObjectsCheck } from './fsck-objects.ts';

const MAX_BATCHES = 8;
const PROVED = 1;

/** What is known of the files of one batch, in columns. */
interface Batch {
  files: ExternalFiles;
  /** Raw ids of their objects. */
  ids: Uint8Array;
  proofs: ObjectProofs;
  /** Under which they are remembered. */
  keys?: Uint8Array;
}

export class ExternalFilesCheck {
  readonly #repo: Repository;
  readonly #objectsCheck: ObjectsCheck;
  readonly #commit: CommitObjects;
  readonly #missing: Uint8Array | undefined;
  readonly #proved: DigestTable | undefined;
  readonly #contents: boolean;
  readonly #underWay: Array<Promise<void>> = [];
  readonly #problems: CfsError[] = [];

  /**
   * @param missing by number of the object in the map: not 0 where it is missing, which has a finding already
   * @param proved files of any commit that were found right, as long as others may have the same
   * @param contents whether contents are read; else sizes are compared
   */
  constructor(
    repo: Repository,
    objectsCheck: ObjectsCheck,
    commit: CommitObjects,
    { missing, proved, contents }: { missing?: Uint8Array; proved?: DigestTable; contents: boolean },
  ) {
    this.#repo = repo;
    this.#objectsCheck = objectsCheck;
    this.#commit = commit;
    this.#missing = missing;
    this.#proved = proved;
    this.#contents = contents;
  }

  /** Waits only while too much is under way. */
  async add(files: ExternalFiles): Promise<void> {
    const batch = this.#unknown(this.#present(files));
    if (batch.files.count === 0) return;
    if (this.#underWay.length >= MAX_BATCHES) await this.#underWay.shift();
    const check = this.#check(batch);
    check.catch(() => {}); // whoever awaits it is told
    this.#underWay.push(check);
  }

  /** @returns what is wrong with any of them, when all are done */
  async finish(): Promise<CfsError[]> {
    await Promise.all(this.#underWay.splice(0));
    return this.#problems;
  }

  #present(files: ExternalFiles): ExternalFiles {
    const missing = this.#missing;
    if (missing === undefined) return files;
    return files.pick(rowsWhere(files.count, (i) => missing[this.#commit.map.objectNumberAt(files.indexes[i])] === 0));
  }

  /** Those that were not found right before. */
  #unknown(files: ExternalFiles): Batch {
    const batch = this.#batchOf(files);
    const proved = this.#proved;
    if (proved === undefined || files.count === 0) return batch;
    const keys = proofKeys(this.#repo.algorithm, batch.ids, batch.proofs);
    const rows = rowsWhere(files.count, (i) => proved.flags(keys, i * PROOF_KEY_BYTES) === 0);
    if (rows.length === files.count) return { ...batch, keys };
    return {
      ...this.#batchOf(files.pick(rows)),
      keys: joined(rows.map((row) => keys.subarray(row * PROOF_KEY_BYTES, (row + 1) * PROOF_KEY_BYTES))),
    };
  }

  #batchOf(files: ExternalFiles): Batch {
    const { map } = this.#commit;
    const { count, indexes, contentHeaders } = files;
    const idBytes = digestBytes(this.#repo.algorithm);
    const ids = new Uint8Array(count * idBytes);
    const checksums = new Uint8Array(count * CHECKSUM_BYTES);
    const headerEnds = new Uint32Array(count);
    let end = 0;
    for (let i = 0; i < count; i++) {
      copy(map.objectRefs, map.objectNumberAt(indexes[i]) * idBytes, ids, i * idBytes, idBytes);
      copy(map.content, map.checksumStartAt(indexes[i]), checksums, i * CHECKSUM_BYTES, CHECKSUM_BYTES);
      end += contentHeaders[i].length;
      headerEnds[i] = end;
    }
    return { files, ids, proofs: { headers: joined(contentHeaders), headerEnds, checksums, sizes: files.sizes } };
  }

  async #check({ files, ids, proofs, keys }: Batch): Promise<void> {
    const isRight = this.#contents ? await this.#objectsCheck.prove(ids, proofs) : await this.#ofSameSize(files, ids);
    if (keys !== undefined)
      for (let i = 0; i < files.count; i++) if (isRight[i] !== 0) this.#proved?.mark(PROVED, keys, i * PROOF_KEY_BYTES);
    const doubtful = rowsWhere(files.count, (i) => isRight[i] === 0);
    if (doubtful.length > 0) await this.#lookCloser(files.pick(doubtful));
  }

  /** 1 for each file whose object has the size that it should have. */
  async #ofSameSize(files: ExternalFiles, ids: Uint8Array): Promise<Uint8Array> {
    const sizes = await this.#repo.objects.sizesOf(ids);
    return Uint8Array.from(files.sizes, (sizeBytes, i) => (sizes[i] === sizeBytes ? 1 : 0));
  }

  async #lookCloser({ indexes, sizes, contentHeaders, count }: ExternalFiles): Promise<void> {
    const objects = Array.from(indexes, (index) => this.#commit.map.externalAt(index) as ObjectId);
    const hashed = this.#contents
      ? await this.#objectsCheck.hashWithHeaders(
          objects.map((object, i) => ({ object, contentHeader: contentHeaders[i] })),
        )
      : undefined;
    for (let i = 0; i < count; i++) {
      if (hashed?.[i].error !== undefined) continue; // the object has a finding of its own
      const problem = externalFileProblem(
        this.#commit,
        { index: indexes[i], sizeBytes: sizes[i] },
        {
          sizeBytes: hashed?.[i].sizeBytes ?? this.#repo.objects.sizeOfSync(objects[i]),
          checksum: hashed?.[i].checksums[0],
        },
      );
      if (problem !== undefined) this.#problems.push(problem);
    }
  }
}

function rowsWhere(count: number, isWanted: (row: number) => boolean): number[] {
  const rows: number[] = [];
  for (let row = 0; row < count; row++) if (isWanted(row)) rows.push(row);
  return rows;
}

/** For digests: a view of each would cost more than its bytes. */
function copy(from: Uint8Array, fromAt: number, to: Uint8Array, at: number, length: number): void {
  for (let i = 0; i < length; i++) to[at + i] = from[fromAt + i];
}
