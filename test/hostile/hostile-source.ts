/** An archive repository made object by object, right or wrong: whatever is added is stored under the checksum of its own bytes. */

import { createHash } from 'node:crypto';
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import type { ByteString } from '../../src/formats/byte-string.ts';
import { type Checksum, toHex } from '../../src/formats/ids.ts';
import { type Commit, serializeCommit } from '../../src/formats/ostree/commit.ts';
import { serializeDirmeta } from '../../src/formats/ostree/dirmeta.ts';
import { type Dirtree, serializeDirtree } from '../../src/formats/ostree/dirtree.ts';
import {
  type FileHeader,
  serializeArchiveHeader,
  serializeContentHeader,
} from '../../src/formats/ostree/file-header.ts';
import type { Xattr } from '../../src/formats/tree.ts';
import { HOSTILE_REF } from './hostile-cases.ts';

const REGULAR = 0o100644;
const SYMLINK = 0o120777;
const DIRECTORY = 0o40755;

export const name = (text: string): ByteString => text as ByteString;

export class HostileSource {
  readonly path: string;
  readonly dirmeta: Checksum;
  readonly file: Checksum;
  readonly emptyDirtree: Checksum;

  constructor(path: string) {
    this.path = path;
    mkdirSync(join(path, 'objects'), { recursive: true });
    mkdirSync(join(path, 'refs/heads'), { recursive: true });
    writeFileSync(join(path, 'config'), '[core]\nrepo_version=1\nmode=archive-z2\n');
    this.dirmeta = this.addDirmeta([]);
    this.file = this.addFile(new Uint8Array(0));
    this.emptyDirtree = this.addDirtree({});
  }

  /** Any bytes under their own checksum, or under another one. */
  add(type: 'commit' | 'dirtree' | 'dirmeta', bytes: Uint8Array, checksum = sha256(bytes)): Checksum {
    this.#write(checksum, type, bytes);
    return checksum;
  }

  addDirmeta(xattrs: Xattr[]): Checksum {
    return this.add('dirmeta', serializeDirmeta({ uid: 0, gid: 0, mode: DIRECTORY, xattrs }));
  }

  /** Names are written as they are; entries get an empty file, an empty directory. */
  addDirtree({ files = [], directories = [] }: { files?: string[]; directories?: string[] }): Checksum {
    return this.addTree({
      files: files.map((file) => ({ name: name(file), checksum: this.file })),
      directories: directories.map((directory) => this.directory(directory, this.emptyDirtree)),
    });
  }

  addTree(dirtree: Dirtree): Checksum {
    return this.add('dirtree', serializeDirtree(dirtree));
  }

  directory(directoryName: string, dirtree: Checksum): Dirtree['directories'][0] {
    return { name: name(directoryName), dirtree, dirmeta: this.dirmeta };
  }

  /** @param claimedBytes what the header says of the size; it is outside of the checksum */
  addFile(content: Uint8Array, claimedBytes = content.length, parts: Partial<FileHeader> = {}): Checksum {
    const header: FileHeader = { uid: 0, gid: 0, mode: REGULAR, target: name(''), xattrs: [], ...parts };
    const checksum = sha256(serializeContentHeader(header), content);
    const body = [serializeArchiveHeader(header, claimedBytes)];
    if (header.mode === REGULAR) body.push(deflateRawSync(content, { level: 1 }));
    this.#write(checksum, 'filez', Buffer.concat(body));
    return checksum;
  }

  addSymlink(target: string): Checksum {
    return this.addFile(new Uint8Array(0), 0, { mode: SYMLINK, target: name(target) });
  }

  /** A file of zeros that takes no disk. */
  addSparse(type: 'dirtree' | 'dirmeta', sizeBytes: number, checksum: Checksum): void {
    this.#write(checksum, type, new Uint8Array(0));
    truncateSync(this.#objectPath(checksum, type), sizeBytes);
  }

  addDetachedMetadata(commit: Checksum, bytes: Uint8Array): void {
    this.#write(commit, 'commitmeta', bytes);
  }

  /** A commit of this tree, and the ref to it. */
  commit(rootDirtree: Checksum, parts: Partial<Commit> = {}): Checksum {
    return this.publish(
      serializeCommit({
        metadata: [],
        subject: '',
        body: '',
        timestampSeconds: 0n,
        rootDirtree,
        rootDirmeta: this.dirmeta,
        ...parts,
      }),
    );
  }

  /** @param commit its bytes */
  publish(commit: Uint8Array): Checksum {
    const checksum = this.add('commit', commit);
    writeFileSync(join(this.path, 'refs/heads', HOSTILE_REF), `${checksum}\n`);
    return checksum;
  }

  #write(checksum: Checksum, type: string, bytes: Uint8Array): void {
    const path = this.#objectPath(checksum, type);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
  }

  #objectPath(checksum: Checksum, type: string): string {
    return join(this.path, 'objects', checksum.slice(0, 2), `${checksum.slice(2)}.${type}`);
  }
}

export function sha256(...parts: Uint8Array[]): Checksum {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return toHex(hash.digest()) as Checksum;
}
