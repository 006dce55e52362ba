/** The part of a check that looks at `objects/`: names first, contents later, each file read once. */

import type { FileHandle } from 'node:fs/promises';
import { basename } from 'node:path';
import { problemText } from '../errors.ts';
import { type Algorithm, digestBytes, type ObjectId, objectIdFromBytes } from '../formats/ids.ts';
import { joined } from '../formats/owned-bytes.ts';
import { nodeHashing } from '../native.ts';
import type { Progress } from '../progress.ts';
import { DigestTable } from '../store/digest-table.ts';
import {
  type FileToHash,
  type HashedFile,
  hashFiles,
  hashOpenFile,
  ObjectProof,
  type ObjectProofs,
  proveObjects,
} from '../store/hash-files.ts';
import { FANOUTS } from '../store/object-sweep.ts';
import type { ObjectVerdict } from '../store/objects.ts';
import { readWhole } from '../store/regular-file.ts';
import type { Repository } from '../store/repository.ts';
import { isTemporaryObjectName } from '../store/temporaries.ts';
import { type Findings, objectSubject } from './fsck-findings.ts';

const EXISTS = 1;
const CHECKED = 2;

/** Files handed to the hashing threads in one go. */
const BATCH_FILES = 1024;

export class ObjectsCheck {
  readonly #repo: Repository;
  readonly #findings: Findings;
  readonly #progress: Progress;
  readonly #signal: AbortSignal | undefined;
  readonly #table = new DigestTable();
  /** For each first byte: files found that nothing has read yet. */
  readonly #unread = new Uint32Array(FANOUTS);
  objectsChecked = 0;
  bytesChecked = 0;

  constructor(repo: Repository, findings: Findings, progress: Progress, signal: AbortSignal | undefined) {
    this.#repo = repo;
    this.#findings = findings;
    this.#progress = progress;
    this.#signal = signal;
  }

  get algorithm(): Algorithm {
    return this.#repo.algorithm;
  }

  /** Whether there is a regular file of that name; only after `scan`. */
  exists(id: ObjectId): boolean {
    return this.#table.flagsOf(id) !== 0;
  }
  /** The same for a raw digest. */
  existsAt(digests: Uint8Array, offset: number): boolean {
    return this.#table.flags(digests, offset) !== 0;
  }

  /** Names and types of everything below `objects/`. */
  async scan(): Promise<void> {
    const { objects } = this.#repo;
    const oneId = digestBytes(this.algorithm);
    for await (const { ids, others } of objects.names()) {
      this.#signal?.throwIfAborted();
      for (let at = 0; at < ids.length; at += oneId)
        if (this.#table.mark(EXISTS, ids, at) === 0) this.#unread[ids[at]]++;
      for (const { path, id, kind } of others) {
        if (id !== undefined) this.#findings.error('object-open-failed', path, `is a ${kind}, not a regular file`);
        else this.#findings.error('object-invalid-name', path, `is not the name of a ${this.algorithm} object`);
      }
    }
    for (const { path, kind } of objects.outsiders()) {
      if (kind === 'file' && isTemporaryObjectName(basename(path)))
        this.#findings.warn('leftover-temporary', path, 'left by interrupted work; gc removes it');
      else this.#findings.error('unexpected-name', path, `a ${kind} that does not belong here`);
    }
  }

  /**
   * Reads and checks an object that is needed in memory. It comes back even when it is damaged: what it says may still be worth
   * a finding.
   * @throws CfsError or a system error when it cannot be read
   */
  async read(id: ObjectId, maxBytes: number): Promise<Uint8Array> {
    const { handle, sizeBytes } = await this.#repo.objects.openUnverified(id);
    try {
      const bytes = await readWhole(handle, sizeBytes, maxBytes, { file: objectSubject(id) });
      await this.#check(id, handle, sizeBytes, () => nodeHashing.fsVerity(this.algorithm, bytes));
      return bytes;
    } catch (error) {
      throw this.#unreadable(id, sizeBytes, error);
    } finally {
      await handle.close();
    }
  }

  /** The same for one that is read in pieces: checked, and still open. @throws as `read` */
  async open(id: ObjectId): Promise<{ handle: FileHandle; sizeBytes: number }> {
    const opened = await this.#repo.objects.openUnverified(id);
    const { handle, sizeBytes } = opened;
    try {
      await this.#check(id, handle, sizeBytes, () => hashOpenFile(handle, this.algorithm));
      return opened;
    } catch (error) {
      await handle.close();
      throw this.#unreadable(id, sizeBytes, error);
    }
  }

  /** @param hash asked only where the kernel has no word on it */
  async #check(
    id: ObjectId,
    handle: FileHandle,
    sizeBytes: number,
    hash: () => Uint8Array | Promise<Uint8Array>,
  ): Promise<void> {
    if ((this.#table.flagsOf(id) & CHECKED) !== 0) return;
    const verdict = this.#repo.objects.measure(handle.fd, id) ?? computed(await hash(), id);
    if (this.#isNew(id, sizeBytes)) this.#judge(id, verdict);
  }

  /** What the kernel found wrong while it was read is a finding. @returns the error */
  #unreadable(id: ObjectId, sizeBytes: number, error: unknown): unknown {
    if (isInputOutputError(error) && this.#isNew(id, sizeBytes))
      this.#findings.error('object-verity-failed', objectSubject(id), problemText(error));
    return error;
  }

  /** Hashes files under content headers, checking their objects on the way. Results in the order of the input. */
  async hashWithHeaders(files: Array<{ object: ObjectId; contentHeader: Uint8Array }>): Promise<HashedFile[]> {
    this.#signal?.throwIfAborted();
    const { objects } = this.#repo;
    const hashed = await hashFiles(
      files.map(({ object, contentHeader }) => ({ path: objects.path(object), contentHeaders: [contentHeader] })),
      this.algorithm,
    );
    for (let i = 0; i < files.length; i++) this.#judgeHashed(files[i].object, hashed[i]);
    return hashed;
  }

  /**
   * Proves many objects at once, with what ostree says about them if anything.
   * @param ids raw digests, concatenated
   * @returns 1 for each that is all right; the others have to be looked at more closely, and nothing is said about them yet
   */
  async prove(ids: Uint8Array, proofs?: ObjectProofs): Promise<Uint8Array> {
    this.#signal?.throwIfAborted();
    const { states, sizes } = await proveObjects(this.#repo.objects.root, this.algorithm, ids, proofs);
    const oneId = digestBytes(this.algorithm);
    const isProved = new Uint8Array(states.length);
    for (let i = 0; i < states.length; i++) {
      if (states[i] === ObjectProof.none || (states[i] === ObjectProof.intact && this.#repo.secure)) continue;
      this.#countNew(this.#table.mark(CHECKED, ids, i * oneId), ids[i * oneId], sizes[i]);
      isProved[i] = 1;
    }
    this.#showProgress();
    return isProved;
  }

  /** Contents of all objects that nothing has read yet; directories without any are passed over. */
  async contents(): Promise<void> {
    const oneId = digestBytes(this.algorithm);
    let unread: Uint8Array[] = [];
    const flush = async (): Promise<void> => {
      const isProved = await this.prove(joined(unread));
      const doubtful = unread.filter((_, i) => isProved[i] === 0).map((bytes) => objectIdFromBytes(bytes));
      const files: FileToHash[] = doubtful.map((id) => ({ path: this.#repo.objects.path(id) }));
      const hashed = await hashFiles(files, this.algorithm);
      for (let i = 0; i < doubtful.length; i++) this.#judgeHashed(doubtful[i], hashed[i]);
      unread = [];
    };
    for await (const { ids } of this.#repo.objects.names((first) => this.#unread[first] > 0)) {
      for (let at = 0; at < ids.length; at += oneId) {
        if ((this.#table.flags(ids, at) & CHECKED) !== 0) continue;
        if (unread.push(ids.subarray(at, at + oneId)) >= BATCH_FILES) await flush();
      }
    }
    await flush();
  }

  #isNew(id: ObjectId, sizeBytes: number): boolean {
    const isNew = this.#countNew(this.#table.markId(CHECKED, id), firstByte(id), sizeBytes);
    if (isNew) this.#showProgress();
    return isNew;
  }

  /** @param before flags before it was marked as checked */
  #countNew(before: number, first: number, sizeBytes: number): boolean {
    if ((before & CHECKED) !== 0) return false;
    if ((before & EXISTS) !== 0) this.#unread[first]--;
    this.objectsChecked++;
    this.bytesChecked += sizeBytes;
    return true;
  }

  #showProgress(): void {
    this.#progress.update({
      phase: 'check',
      done: this.objectsChecked,
      total: this.#table.size,
      bytesDone: this.bytesChecked,
    });
  }

  #judgeHashed(id: ObjectId, { error, sizeBytes, digest, verity }: HashedFile): void {
    if (!this.#isNew(id, sizeBytes)) return;
    const subject = objectSubject(id);
    if (error !== undefined) {
      const text = problemText(error);
      if ((error as NodeJS.ErrnoException).code === 'EIO') this.#findings.error('object-verity-failed', subject, text);
      else this.#findings.error('object-open-failed', subject, text);
      return;
    }
    const verdict = computed(digest, id);
    if (verdict.state !== 'intact') this.#judge(id, verdict);
    else if (verity === 'other')
      this.#findings.error('object-verity-failed', subject, 'the kernel measures another digest than its content has');
    else if (verity === 'off' && this.#repo.secure) this.#judge(id, { state: 'no-verity' });
  }

  #judge(id: ObjectId, verdict: ObjectVerdict): void {
    const subject = objectSubject(id);
    if (verdict.state === 'mismatch')
      this.#findings.error('object-digest-mismatch', subject, `its content has the digest ${verdict.measured}`);
    else if (verdict.state === 'no-verity')
      this.#findings.error('object-verity-missing', subject, 'has no fs-verity, which this repository requires');
  }
}

/** `readWhole` says it with a cause, others at once. */
const isInputOutputError = (error: unknown): boolean =>
  error instanceof Error &&
  [error, error.cause].some((said) => (said as NodeJS.ErrnoException | undefined)?.code === 'EIO');

const firstByte = (id: ObjectId): number => Number.parseInt(id.slice(0, 2), 16);

const computed = (digest: Uint8Array, id: ObjectId): ObjectVerdict => {
  const measured = objectIdFromBytes(digest);
  return measured === id ? { state: 'intact' } : { state: 'mismatch', measured };
};
