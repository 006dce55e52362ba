/** Archive repositories of any size with one commit, written directly: the same bytes for the same arguments, everywhere. */

import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { constants, deflateRawSync } from 'node:zlib';
import { byteStringFromText } from '../src/formats/byte-string.ts';
import { type Checksum, parseChecksum } from '../src/formats/ids.ts';
import { serializeCommit } from '../src/formats/ostree/commit.ts';
import { serializeDirmeta } from '../src/formats/ostree/dirmeta.ts';
import { type Dirtree, serializeDirtree } from '../src/formats/ostree/dirtree.ts';
import { type FileHeader, serializeArchiveHeader, serializeContentHeader } from '../src/formats/ostree/file-header.ts';

export const GENERATED_REF = 'bench/generated';

const FILES_PER_DIRECTORY = 250;
const MIN_FILE_BYTES = 200;
const FILE_BYTES_RANGE = 1800;
const FILE: FileHeader = { uid: 0, gid: 0, mode: 0o100644, target: byteStringFromText(''), xattrs: [] };
const DIRECTORY = { uid: 0, gid: 0, mode: 0o040755, xattrs: [] };
const SEED = 'cfs-ostree growth 1';
/** Unlike each other for more than a window of deflate. */
const NOISE_BYTES = 1 << 16;
/** Of a large file: the same bytes again and again, each time behind a few of its own. */
const SEGMENT_BYTES = 64 << 20;
const SEGMENT_HEAD_BYTES = 64;
const PATTERN_BYTES = 1 << 14;
/** An empty last block with fixed codes. */
const DEFLATE_END = Uint8Array.of(3, 0);

/** `files` small files of 200 to 2,000 bytes, 250 in a directory. */
export function writeSmallFiles(path: string, files: number): void {
  const repository = new ArchiveRepository(path);
  const noise = makeNoise(NOISE_BYTES);
  const directories: Dirtree['directories'] = [];
  const dirmeta = repository.addMetadata(serializeDirmeta(DIRECTORY), 'dirmeta');
  for (let first = 0; first < files; first += FILES_PER_DIRECTORY) {
    const entries: Dirtree['files'] = [];
    for (let n = first; n < Math.min(files, first + FILES_PER_DIRECTORY); n++) {
      const checksum = repository.addSmallFile(smallContent(n, noise));
      entries.push({ name: byteStringFromText(`file-${n}`), checksum });
    }
    const dirtree = repository.addMetadata(serializeDirtree({ files: entries, directories: [] }), 'dirtree');
    directories.push({ name: byteStringFromText(`directory-${first}`), dirtree, dirmeta });
  }
  repository.addCommit({ files: [], directories }, dirmeta);
}

/** One file of `segments` × 64 MiB, no two segments alike, that deflates well. */
export function writeLargeFile(path: string, segments: number): number {
  const repository = new ArchiveRepository(path);
  const dirmeta = repository.addMetadata(serializeDirmeta(DIRECTORY), 'dirmeta');
  const checksum = repository.addSegments(segments);
  repository.addCommit({ files: [{ name: byteStringFromText('large'), checksum }], directories: [] }, dirmeta);
  return segments * SEGMENT_BYTES;
}

function smallContent(n: number, noise: Uint8Array): Buffer {
  const random = scatter(n);
  const start = random % (NOISE_BYTES - FILE_BYTES_RANGE);
  const rest = noise.subarray(start, start + MIN_FILE_BYTES + ((random >>> 8) % FILE_BYTES_RANGE));
  return Buffer.concat([Buffer.from(`${SEED}, file ${n}\n`), rest]);
}

/** A 32-bit number that looks unrelated to `n`: Knuth's multiplicative hash, folded. */
function scatter(n: number): number {
  const product = Math.imul(n + 1, 0x9e3779b1);
  return (product ^ (product >>> 15)) >>> 0;
}

function makeNoise(sizeBytes: number): Uint8Array {
  const blocks: Buffer[] = [];
  for (let n = 0; n * 64 < sizeBytes; n++) blocks.push(createHash('sha512').update(`${SEED} ${n}`).digest());
  return Buffer.concat(blocks).subarray(0, sizeBytes);
}

/** A block that is not the last one, its bytes as they are. At most 65,535. */
function storedBlock(bytes: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt16LE(bytes.length, 1);
  head.writeUInt16LE(~bytes.length & 0xffff, 3);
  return Buffer.concat([head, bytes]);
}

class ArchiveRepository {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
    for (const directory of ['tmp', 'refs/heads', 'refs/remotes', 'objects'])
      mkdirSync(join(path, directory), { recursive: true });
    for (let i = 0; i < 256; i++) mkdirSync(join(path, 'objects', i.toString(16).padStart(2, '0')));
    writeFileSync(join(path, 'config'), '[core]\nrepo_version=1\nmode=archive-z2\n');
  }

  addMetadata(bytes: Uint8Array, suffix: 'commit' | 'dirtree' | 'dirmeta'): Checksum {
    const checksum = parseChecksum(createHash('sha256').update(bytes).digest('hex'));
    writeFileSync(this.#objectPath(checksum, suffix), bytes);
    return checksum;
  }

  addSmallFile(content: Uint8Array): Checksum {
    const hash = createHash('sha256').update(serializeContentHeader(FILE)).update(content);
    const checksum = parseChecksum(hash.digest('hex'));
    const header = serializeArchiveHeader(FILE, content.length);
    writeFileSync(this.#objectPath(checksum, 'filez'), Buffer.concat([header, storedBlock(content), DEFLATE_END]));
    return checksum;
  }

  addSegments(segments: number): Checksum {
    const temporary = join(this.#path, 'tmp', 'large');
    const hash = createHash('sha256').update(serializeContentHeader(FILE));
    const pattern = makeNoise(PATTERN_BYTES);
    const body = Buffer.alloc(SEGMENT_BYTES - SEGMENT_HEAD_BYTES, pattern);
    const deflated = deflateRawSync(body, { finishFlush: constants.Z_FULL_FLUSH });
    const fd = openSync(temporary, 'w');
    writeSync(fd, serializeArchiveHeader(FILE, segments * SEGMENT_BYTES));
    for (let n = 0; n < segments; n++) {
      const head = Buffer.alloc(SEGMENT_HEAD_BYTES, `${SEED}, segment ${n}\n`);
      hash.update(head).update(body);
      writeSync(fd, storedBlock(head));
      writeSync(fd, deflated);
    }
    writeSync(fd, DEFLATE_END);
    closeSync(fd);
    const checksum = parseChecksum(hash.digest('hex'));
    renameSync(temporary, this.#objectPath(checksum, 'filez'));
    return checksum;
  }

  addCommit(root: Dirtree, rootDirmeta: Checksum): void {
    const rootDirtree = this.addMetadata(serializeDirtree(root), 'dirtree');
    const commit = serializeCommit({
      ...{ metadata: [], subject: SEED, body: '', timestampSeconds: 0n, rootDirtree, rootDirmeta },
    });
    const ref = join(this.#path, 'refs/heads', GENERATED_REF);
    mkdirSync(join(ref, '..'), { recursive: true });
    writeFileSync(ref, `${this.addMetadata(commit, 'commit')}\n`);
  }

  #objectPath(checksum: Checksum, suffix: string): string {
    return join(this.#path, 'objects', checksum.slice(0, 2), `${checksum.slice(2)}.${suffix}`);
  }
}
