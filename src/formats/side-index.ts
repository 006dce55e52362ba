/**
 * Segments of the side index: sorted tables that say in which stored commit an ostree object can be found. Ours alone, deletable at any
 * time. Layout: doc/formats/side-index.md.
 */

import { FormatError, LimitError, type Where } from '../errors.ts';
import { ByteReader } from './byte-reader.ts';
import { BUCKETS_BYTES, ChecksumTable, type Fail, sortChecksums, writeChecksumTable } from './checksum-table.ts';
import type { Hashing } from './codecs.ts';
import {
  type Algorithm,
  CHECKSUM_BYTES,
  type Checksum,
  checksumFromBytes,
  digestBytes,
  FS_VERITY_ALGORITHM_NUMBER,
} from './ids.ts';
import { NumberedDigests } from './numbered-digests.ts';
import { release } from './owned-bytes.ts';

/** What the index says of one ostree object: a claim, until the commit stream that it names has been asked. */
export interface SideIndexEntry {
  /** The stored commit whose stream has the object. */
  commit: Checksum;
  /** Raw id of the external object with the content; none: the stream has all of it. */
  object?: Uint8Array;
  /** Content size of an external file; otherwise how many bytes the stream keeps. */
  sizeBytes: number;
  /** Raw sha256 fs-verity digest of the external content, where somebody has computed it. */
  sha256Digest?: Uint8Array;
}

/** Another version of this format: nothing is wrong with it, but it is of no use to us. */
export class UnknownSegmentVersionError extends FormatError {}

/** ASCII `cfsindex`. */
const MAGIC = Uint8Array.from('cfsindex', (letter) => letter.charCodeAt(0));
const VERSION = 1;
const SHA256_BYTES = 32;
/** Magic, version, algorithm, numbers of entries, commits, objects, digests; then the bucket ends. */
const BUCKETS_AT = 32;
const HEADER_BYTES = BUCKETS_AT + BUCKETS_BYTES;
/** Commit, object, digest (numbers, u32), size (u64). */
const RECORD_BYTES = 20;
const RECORD_WORDS = 3;
const NONE = 0xffffffff;
/**
 * Entries of one segment. Segments are read whole and merged in memory, about 130 bytes for an entry; larger indexes are several
 * segments of this size.
 */
export const MAX_SEGMENT_ENTRIES = 512 * 1024;
/** No segment with as many entries is larger. */
export const MAX_SEGMENT_BYTES =
  HEADER_BYTES + SHA256_BYTES + MAX_SEGMENT_ENTRIES * (2 * CHECKSUM_BYTES + 64 + SHA256_BYTES + RECORD_BYTES);
const FIRST_CAPACITY = 256;

/** One segment, searched where it lies. */
export class SideIndexSegment {
  readonly count: number;
  /** Commits that its entries name. */
  readonly commits: readonly Checksum[];
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #table: ChecksumTable;
  readonly #objectsAt: number;
  readonly #digestsAt: number;
  readonly #recordsAt: number;
  readonly #idBytes: number;

  private constructor(bytes: Uint8Array, algorithm: Algorithm, sha256: Hashing['sha256'], where: Where) {
    const reader = new ByteReader(bytes, { ...where, format: 'side index' });
    const { entries, commits, objects, digests } = readHeader(reader, algorithm);
    this.count = entries;
    this.#idBytes = digestBytes(algorithm);
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#objectsAt = HEADER_BYTES + CHECKSUM_BYTES * commits;
    this.#digestsAt = this.#objectsAt + this.#idBytes * objects;
    const checksumsAt = this.#digestsAt + SHA256_BYTES * digests;
    this.#recordsAt = checksumsAt + CHECKSUM_BYTES * this.count;
    const end = this.#recordsAt + RECORD_BYTES * this.count;
    if (end + SHA256_BYTES !== bytes.length)
      reader.fail('entries', `${end + SHA256_BYTES} bytes are promised, there are ${bytes.length}`);
    if (!sha256(bytes.subarray(0, end)).every((byte, i) => byte === bytes[end + i]))
      throw new FormatError('is wrong', { ...reader.where, field: 'checksum', offset: end });
    const fail: Fail = (field, offset, problem) => {
      throw new FormatError(problem, { ...reader.where, field, offset });
    };
    this.#table = new ChecksumTable(bytes, BUCKETS_AT, checksumsAt);
    this.#table.checkBuckets(fail);
    if (this.#table.count !== this.count)
      fail('bucket', HEADER_BYTES - 4, 'last bucket end is not the number of entries');
    this.#table.checkOrder(fail);
    this.#checkRecords(commits, objects, digests, fail);
    this.commits = readCommits(bytes, commits);
  }

  /** @throws UnknownSegmentVersionError; FormatError for everything else that is wrong */
  static parse(
    bytes: Uint8Array,
    algorithm: Algorithm,
    sha256: Hashing['sha256'],
    where: Where = {},
  ): SideIndexSegment {
    return new SideIndexSegment(bytes, algorithm, sha256, where);
  }

  /** The checksum as 32 raw bytes at `offset`. @returns number of the entry, or -1 */
  find(checksum: Uint8Array, offset = 0): number {
    return this.#table.find(checksum, offset);
  }

  checksumBytesAt(index: number): Uint8Array {
    return this.#table.at(index);
  }

  /** Number in `commits`. */
  commitNumberAt(index: number): number {
    return this.#word(index, 0);
  }

  objectAt(index: number): Uint8Array | undefined {
    const number = this.#word(index, 1);
    if (number === NONE) return undefined;
    return this.#bytes.subarray(
      this.#objectsAt + number * this.#idBytes,
      this.#objectsAt + (number + 1) * this.#idBytes,
    );
  }

  sha256DigestAt(index: number): Uint8Array | undefined {
    const number = this.#word(index, 2);
    if (number === NONE) return undefined;
    return this.#bytes.subarray(this.#digestsAt + number * SHA256_BYTES, this.#digestsAt + (number + 1) * SHA256_BYTES);
  }

  sizeBytesAt(index: number): number {
    return Number(this.#view.getBigUint64(this.#recordsAt + RECORD_BYTES * index + 12, true));
  }

  /** The byte fields are views. */
  entryAt(index: number): SideIndexEntry {
    return {
      commit: this.commits[this.commitNumberAt(index)],
      object: this.objectAt(index),
      sizeBytes: this.sizeBytesAt(index),
      sha256Digest: this.sha256DigestAt(index),
    };
  }

  #word(index: number, word: number): number {
    return this.#view.getUint32(this.#recordsAt + RECORD_BYTES * index + 4 * word, true);
  }

  #checkRecords(commits: number, objects: number, digests: number, fail: Fail): void {
    for (let index = 0; index < this.count; index++) {
      const object = this.#word(index, 1);
      const digest = this.#word(index, 2);
      if (
        this.#word(index, 0) >= commits ||
        (object !== NONE && object >= objects) ||
        (digest !== NONE && digest >= digests)
      )
        fail('record', this.#recordsAt + RECORD_BYTES * index, 'names a commit, object or digest that is not there');
    }
  }
}

/** Numbers of what is in a segment. */
interface SegmentHeader {
  entries: number;
  commits: number;
  objects: number;
  digests: number;
}

function readHeader(reader: ByteReader, algorithm: Algorithm): SegmentHeader {
  if (!reader.take('magic', MAGIC.length).every((byte, i) => byte === MAGIC[i])) reader.fail('magic', 'not a segment');
  const version = reader.u32le('version');
  if (version !== VERSION) throw new UnknownSegmentVersionError(`version ${version}, we know ${VERSION}`, reader.where);
  const number = reader.u32le('algorithm');
  if (number !== FS_VERITY_ALGORITHM_NUMBER[algorithm])
    reader.fail('algorithm', `${number} is not that of ${algorithm}`);
  const header = {
    entries: reader.u32le('entries'),
    commits: reader.u32le('commits'),
    objects: reader.u32le('objects'),
    digests: reader.u32le('digests'),
  };
  reader.take('bucket', BUCKETS_BYTES);
  return header;
}

const readCommits = (bytes: Uint8Array, count: number): Checksum[] =>
  Array.from({ length: count }, (_, i) => checksumFromBytes(bytes, HEADER_BYTES + CHECKSUM_BYTES * i));

/** Header and commits of most segments; a few thousand commits have room. */
export const SEGMENT_HEAD_BYTES = 64 * 1024;

/**
 * The commits whose entries a segment has, from its first bytes alone: nothing is checked, the header may be damaged.
 * @param head at most SEGMENT_HEAD_BYTES
 * @returns undefined where it is no segment that we know, or has more commits than there is room for
 */
export function peekSegmentCommits(head: Uint8Array, algorithm: Algorithm): Checksum[] | undefined {
  try {
    const { commits } = readHeader(new ByteReader(head, { format: 'side index' }), algorithm);
    return HEADER_BYTES + CHECKSUM_BYTES * commits > head.length ? undefined : readCommits(head, commits);
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

/** Collects entries and writes them as a segment. Flat buffers, like CommitMapBuilder. */
export class SideIndexBuilder {
  readonly #algorithm: Algorithm;
  readonly #checksums = new NumberedDigests(CHECKSUM_BYTES);
  readonly #commits = new NumberedDigests(CHECKSUM_BYTES);
  readonly #objects: NumberedDigests;
  readonly #digests = new NumberedDigests(SHA256_BYTES);
  /** Of each entry: commit, object, digest. */
  #records = new Uint32Array(RECORD_WORDS * FIRST_CAPACITY);
  #sizes = new Float64Array(FIRST_CAPACITY);

  constructor(algorithm: Algorithm) {
    this.#algorithm = algorithm;
    this.#objects = new NumberedDigests(digestBytes(algorithm));
  }

  get count(): number {
    return this.#checksums.count;
  }

  /**
   * All of them raw bytes, which are copied. The first entry of an object stays; a later one can only add the digest of the same content.
   * @returns whether the object is new
   * @throws LimitError for more than MAX_SEGMENT_ENTRIES
   */
  add(
    checksum: Uint8Array,
    commit: Uint8Array,
    sizeBytes: number,
    object?: Uint8Array,
    sha256Digest?: Uint8Array,
  ): boolean {
    const count = this.count;
    if (count >= MAX_SEGMENT_ENTRIES && this.#checksums.find(checksum) < 0)
      throw new LimitError(`more than ${MAX_SEGMENT_ENTRIES} entries`, { format: 'side index' });
    const index = this.#checksums.add(checksum);
    const at = RECORD_WORDS * index;
    if (index < count) {
      const sameContent = object !== undefined && this.#objects.find(object) === this.#records[at + 1];
      if (sha256Digest !== undefined && sameContent && this.#records[at + 2] === NONE)
        this.#records[at + 2] = this.#digests.add(sha256Digest);
      return false;
    }
    if (index >= this.#sizes.length) this.#grow();
    this.#records[at] = this.#commits.add(commit);
    this.#records[at + 1] = object === undefined ? NONE : this.#objects.add(object);
    this.#records[at + 2] = sha256Digest === undefined ? NONE : this.#digests.add(sha256Digest);
    this.#sizes[index] = sizeBytes;
    return true;
  }

  /** The end of it: nothing can be asked any more, and the memory is free. */
  release(): void {
    for (const digests of [this.#checksums, this.#commits, this.#objects, this.#digests]) digests.release();
    release(this.#records);
    release(this.#sizes);
  }

  /** Bytes of the segment. */
  build(sha256: Hashing['sha256']): Uint8Array {
    const parts = [this.#commits.bytes, this.#objects.bytes, this.#digests.bytes];
    const checksumsAt = parts.reduce((sum, part) => sum + part.length, HEADER_BYTES);
    const recordsAt = checksumsAt + CHECKSUM_BYTES * this.count;
    const end = recordsAt + RECORD_BYTES * this.count;
    const out = new Uint8Array(end + SHA256_BYTES);
    const view = new DataView(out.buffer);
    out.set(MAGIC);
    const algorithm = FS_VERITY_ALGORITHM_NUMBER[this.#algorithm];
    const numbers = [VERSION, algorithm, this.count, this.#commits.count, this.#objects.count, this.#digests.count];
    for (const [i, number] of numbers.entries()) view.setUint32(MAGIC.length + 4 * i, number, true);
    let at = HEADER_BYTES;
    for (const part of parts) {
      out.set(part, at);
      at += part.length;
    }
    const checksums = this.#checksums.bytes;
    const order = sortChecksums(checksums);
    writeChecksumTable(out, BUCKETS_AT, checksumsAt, checksums, order);
    for (let index = 0; index < order.length; index++) {
      const number = order[index];
      const record = recordsAt + RECORD_BYTES * index;
      for (let word = 0; word < RECORD_WORDS; word++)
        view.setUint32(record + 4 * word, this.#records[RECORD_WORDS * number + word], true);
      view.setBigUint64(record + 12, BigInt(this.#sizes[number]), true);
    }
    out.set(sha256(out.subarray(0, end)), end);
    return out;
  }

  #grow(): void {
    const records = new Uint32Array(2 * this.#records.length);
    records.set(this.#records);
    this.#records = records;
    const sizes = new Float64Array(2 * this.#sizes.length);
    sizes.set(this.#sizes);
    this.#sizes = sizes;
  }
}
