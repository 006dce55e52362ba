/** What lies below `objects/`, a few directories at a time: with the addon read on all cores, else here. */

import { type Dirent, readdirSync } from 'node:fs';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { type Algorithm, idToBytes, isObjectId, type ObjectId } from '../formats/ids.ts';
import { joined } from '../formats/owned-bytes.ts';
import { native } from '../native.ts';
import { ignoreAbsent } from './absence.ts';

/** One directory entry below `objects/`. */
export interface ObjectEntry {
  /** Relative to the repository: `objects/xx/yyyy…`, or `objects/name` for what is not a two-digit directory. */
  path: string;
  /** Where path and algorithm make one; the file may still be damaged, or no file. */
  id?: ObjectId;
  kind: 'file' | 'directory' | 'symlink' | 'other';
}

/** What some of the directories hold. */
export interface ObjectNames {
  /** Raw digests, concatenated: names that make an id, of regular files. */
  ids: Uint8Array;
  /** Everything else. */
  others: ObjectEntry[];
}

/** Directories that are read together. */
const FANOUTS_AT_ONCE = 16;
const FANOUT_NAME = /^[0-9a-f]{2}$/;

/**
 * Directory after directory, sorted, the next ones being read while the caller looks at these.
 * @param objectsPath absolute path of `objects/`
 * @param isWanted by first byte: directories to look into
 */
export async function* readObjectNames(
  objectsPath: string,
  algorithm: Algorithm,
  isWanted: (firstByte: number) => boolean,
): AsyncGenerator<ObjectNames> {
  const { fanouts } = readTop(objectsPath);
  const wanted = fanouts.filter(isWanted);
  let next: Promise<ObjectNames> | undefined;
  for (let at = 0; at < wanted.length; at += FANOUTS_AT_ONCE) {
    const these = next ?? readFanouts(objectsPath, algorithm, wanted.slice(at, at + FANOUTS_AT_ONCE));
    const after = wanted.slice(at + FANOUTS_AT_ONCE, at + 2 * FANOUTS_AT_ONCE);
    next = after.length === 0 ? undefined : readFanouts(objectsPath, algorithm, after);
    next?.catch(() => {}); // whoever awaits it is told
    yield await these;
  }
}

/** Whether an entry of `objects/` is a directory of objects. */
export const isFanout = (entry: Dirent): boolean => entry.isDirectory() && FANOUT_NAME.test(entry.name);

/** What lies in `objects/` itself and is no directory of objects, sorted. */
export const readOutsiders = (objectsPath: string): ObjectEntry[] => readTop(objectsPath).outsiders;

/** `fanouts`: first bytes, sorted. */
function readTop(objectsPath: string): { fanouts: number[]; outsiders: ObjectEntry[] } {
  const top = readIfThere(objectsPath);
  top.sort((a, b) => (a.name < b.name ? -1 : 1));
  return {
    fanouts: top.filter(isFanout).map(({ name }) => Number.parseInt(name, 16)),
    outsiders: top
      .filter((entry) => !isFanout(entry))
      .map((entry) => ({ path: `objects/${entry.name}`, kind: kindOf(entry) })),
  };
}

function readIfThere(path: string): Dirent[] {
  try {
    return readdirSync(path, { withFileTypes: true });
  } catch (error) {
    return ignoreAbsent(error) ?? [];
  }
}

async function readFanouts(objectsPath: string, algorithm: Algorithm, firstBytes: number[]): Promise<ObjectNames> {
  if (native === undefined) return readFanoutsHere(objectsPath, algorithm, firstBytes);
  const { ids, others } = await native.objectNames(objectsPath, algorithm, Uint8Array.from(firstBytes));
  const entries: ObjectEntry[] = [];
  for (const path of others) {
    const stats = await fs.lstat(join(objectsPath, path)).catch(ignoreAbsent);
    if (stats !== undefined) entries.push(entryOf(path, algorithm, kindOf(stats)));
  }
  return { ids, others: entries };
}

async function readFanoutsHere(objectsPath: string, algorithm: Algorithm, firstBytes: number[]): Promise<ObjectNames> {
  const ids: Uint8Array[] = [];
  const others: ObjectEntry[] = [];
  for (const firstByte of firstBytes) {
    const fanout = firstByte.toString(16).padStart(2, '0');
    for (const dirent of await fs.readdir(join(objectsPath, fanout), { withFileTypes: true })) {
      const entry = entryOf(`${fanout}/${dirent.name}`, algorithm, kindOf(dirent));
      if (entry.id !== undefined && entry.kind === 'file') ids.push(idToBytes(entry.id));
      else others.push(entry);
    }
  }
  return { ids: joined(ids), others };
}

/** @param path relative to `objects/` */
function entryOf(path: string, algorithm: Algorithm, kind: ObjectEntry['kind']): ObjectEntry {
  const name = path.replace('/', '');
  return { path: `objects/${path}`, id: isObjectId(name, algorithm) ? name : undefined, kind };
}

const kindOf = (entry: {
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
}): ObjectEntry['kind'] =>
  entry.isFile() ? 'file' : entry.isDirectory() ? 'directory' : entry.isSymbolicLink() ? 'symlink' : 'other';
