/** The composefs repositories of test/vectors/composefs, unpacked, and what the cases about whole repositories do to them. */

import {
  copyFile,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Checksum, ObjectId } from '../../src/formats/ids.ts';
import { runChecked } from './run-command.ts';
import { readVectorJson, vectorPath } from './vectors.ts';

export interface VectorOperation {
  op:
    | 'flip'
    | 'truncate'
    | 'append'
    | 'remove'
    | 'remove-tree'
    | 'symlink'
    | 'write'
    | 'mkdir'
    | 'rename'
    | 'copy'
    | 'mkfifo';
  path: string;
  to?: string;
  target?: string;
  data_hex?: string;
  offset?: number;
  xor?: number;
  size?: number;
}

export interface VectorPath {
  path: string;
  type: 'dir' | 'file' | 'symlink';
  target?: string;
  size?: number;
}

export interface HostileObject {
  id: string;
  object: ObjectId;
  should: 'accept' | 'reject' | 'may-reject';
}

interface Should {
  open: 'accept' | 'reject' | 'may-reject';
  write: 'accept' | 'reject' | 'may-reject';
}

export interface RepositoryVectors {
  repositories: Record<
    string,
    { refs: Record<string, { compute_id: ObjectId }>; meta_json: string; paths: VectorPath[] }
  >;
  features: {
    cases: { id: string; should: Should; reason: string; meta_json?: string | null; meta_json_hex?: string }[];
  };
  no_meta: { id: string; paths: VectorPath[]; should: Pick<Should, 'open'>; meta_json_after: string | null }[];
  old_format: {
    id: string;
    tarball: string;
    algorithm: string;
    cfsctl: { argv: string[]; meta_json_after: string | null }[];
  }[];
  gc: {
    id: string;
    repository: string;
    operations: VectorOperation[];
    gc_arguments: string[];
    run: { stdout: string };
    vanished: string[];
    should: { same?: true; must_fail?: true };
  }[];
  fsck: {
    id: string;
    repository: string;
    operations: VectorOperation[];
    should: { exit: number; findings: { kind: string; path: string; object?: string }[] };
  }[];
  hostile_streams: { tarball: string; streams: HostileObject[] };
  hostile_commits: { tarball: string; commit: Checksum; streams: HostileObject[] };
  oci: {
    repositories: Record<
      string,
      {
        tarball: string;
        gc: { id: string; removed_first: string[]; vanished: string[] }[];
        fsck: { id: string; object: ObjectId }[];
      }
    >;
  };
}

export const readRepositoryVectors = (): RepositoryVectors =>
  readVectorJson<RepositoryVectors>('composefs/expected.json');

/** @param tarball relative to test/vectors/composefs; `name` is that of the new directory */
export async function unpackRepository(tarball: string, directory: string, name = 'repository'): Promise<string> {
  const path = join(directory, name);
  await mkdir(path);
  await runChecked('tar', ['--numeric-owner', '-xpzf', vectorPath(`composefs/${tarball}`), '-C', path]);
  return path;
}

export async function applyOperations(repository: string, operations: VectorOperation[]): Promise<void> {
  for (const operation of operations) await applyOperation(repository, operation);
}

async function applyOperation(repository: string, operation: VectorOperation): Promise<void> {
  const { op, offset = 0, xor = 0, size = 0, target = '' } = operation;
  const path = join(repository, operation.path);
  const to = join(repository, operation.to ?? '');
  const data = Buffer.from(operation.data_hex ?? '', 'hex');
  switch (op) {
    case 'flip':
      return flip(path, offset, xor);
    case 'truncate':
      return truncate(path, size);
    case 'append':
      return writeFile(path, Buffer.concat([await readFile(path), data]));
    case 'remove':
      return rm(path);
    case 'remove-tree':
      return rm(path, { recursive: true });
    case 'symlink':
      await makeRoom(path);
      return symlink(target, path);
    case 'write':
      await makeRoom(path);
      return writeFile(path, data);
    case 'mkdir':
      await mkdir(path, { recursive: true });
      return;
    case 'rename':
      return rename(path, to);
    case 'copy':
      await makeRoom(to);
      return copyFile(path, to);
    case 'mkfifo':
      await runChecked('mkfifo', [path]);
  }
}

async function makeRoom(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await rm(path, { force: true });
}

async function flip(path: string, offset: number, xor: number): Promise<void> {
  await using file = await open(path, 'r+');
  const byte = new Uint8Array(1);
  await file.read(byte, 0, 1, offset);
  byte[0] ^= xor;
  await file.write(byte, 0, 1, offset);
}

/** Every path below the directory: its type, and what a symlink says or a file holds. */
export async function snapshot(directory: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const path of (await readdir(directory, { recursive: true })).sort()) {
    const absolute = join(directory, path);
    const stats = await lstat(absolute);
    if (stats.isDirectory()) found.set(path, 'directory');
    else if (stats.isSymbolicLink()) found.set(path, `symlink ${await readlink(absolute)}`);
    else if (stats.isFile()) found.set(path, `file ${(await readFile(absolute)).toString('base64')}`);
    else found.set(path, 'special');
  }
  return found;
}

export interface SnapshotDifference {
  vanished: string[];
  appeared: string[];
  changed: string[];
}

export function compareSnapshots(before: Map<string, string>, after: Map<string, string>): SnapshotDifference {
  return {
    vanished: [...before.keys()].filter((path) => !after.has(path)),
    appeared: [...after.keys()].filter((path) => !before.has(path)),
    changed: [...after.keys()].filter((path) => before.has(path) && before.get(path) !== after.get(path)),
  };
}
