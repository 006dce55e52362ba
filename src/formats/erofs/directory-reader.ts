/** The entries of a directory: groups of headers and names, sorted over the whole directory. */

import { type ByteString, byteStringFromBytes } from '../byte-string.ts';
import { FileType } from '../tree.ts';
import type { ImageInode, InodeReader } from './inode-reader.ts';
import { BLOCK_BYTES, DIRENT_BYTES, DIRENT_TYPE_OF_FORMAT } from './layout.ts';
import { nameProblem } from './tree-check.ts';

export interface ImageEntry {
  name: ByteString;
  nid: number;
  /** Directory entry type. */
  type: number;
}

/** Directory entry type of an inode kind. */
export const direntType = (kind: ImageInode['kind']): number => DIRENT_TYPE_OF_FORMAT[FileType[kind] >> 12];
const DIRECTORY_TYPE = direntType('directory');

/**
 * All entries but `.` and `..`, which must lead to the directory itself and to its parent.
 * @throws FormatError unless names are fit for a file system, unique and in byte order
 */
export function readEntries(reader: InodeReader, directory: ImageInode, parentNid: number): ImageEntry[] {
  if (directory.sizeBytes === 0) reader.fail('inode.size', directory.offset + 8, 'a directory without entries');
  const { blocks, tail } = reader.placesOf(directory);
  const groups = new GroupReader(reader);
  for (let at = blocks.start; at < blocks.end; at += BLOCK_BYTES)
    groups.read(at, Math.min(at + BLOCK_BYTES, blocks.end));
  if (tail.start < tail.end) groups.read(tail.start, tail.end);
  let directories = 0;
  const special = new Map<string, ImageEntry>();
  const entries = groups.entries.filter((entry) => {
    if (entry.type === DIRECTORY_TYPE) directories++;
    if (entry.name !== '.' && entry.name !== '..') return true;
    special.set(entry.name, entry);
    return false;
  });
  for (const [name, nid] of [
    ['.', directory.nid],
    ['..', parentNid],
  ] as const) {
    const entry = special.get(name);
    if (entry === undefined) reader.fail('dirent.name', directory.offset, `a directory without "${name}"`);
    if (entry?.nid !== nid || entry.type !== DIRECTORY_TYPE)
      reader.fail('dirent.nid', directory.offset, `"${name}" is inode ${entry?.nid}, expected directory ${nid}`);
  }
  if (directory.nlink !== directories)
    reader.fail(
      'inode.nlink',
      directory.offset,
      `${directory.nlink}, but the directory has ${directories - 2} subdirectories`,
    );
  return entries;
}

class GroupReader {
  readonly entries: ImageEntry[] = [];
  readonly #reader: InodeReader;
  #previous = '' as ByteString;

  constructor(reader: InodeReader) {
    this.#reader = reader;
  }

  /** @param start of a group in the image; it ends at `end` */
  read(start: number, end: number): void {
    const { bytes, view, start: pieceStart } = this.#reader.content.piece(start, end);
    const first = start - pieceStart; // of the group in the piece
    const group = bytes.subarray(first, end - pieceStart);
    const fail = (field: string, at: number, problem: string): never => this.#reader.fail(field, start + at, problem);
    if (group.length < DIRENT_BYTES) fail('dirent', 0, `${group.length} bytes are too few for an entry`);
    const headersEnd = view.getUint16(first + 8, true);
    if (headersEnd < DIRENT_BYTES || headersEnd % DIRENT_BYTES !== 0 || headersEnd >= group.length)
      fail('dirent.nameoff', 8, `the first name at ${headersEnd} is not behind the entries`);
    let nameStart = headersEnd;
    for (let at = 0; at < headersEnd; at += DIRENT_BYTES) {
      const isLast = at + DIRENT_BYTES === headersEnd;
      const nameEnd = isLast ? endOfLastName(group, nameStart) : view.getUint16(first + at + DIRENT_BYTES + 8, true);
      if (nameEnd <= nameStart || nameEnd > group.length)
        fail(
          'dirent.nameoff',
          at + 8,
          `the name from ${nameStart} to ${nameEnd} is empty or outside its ${group.length} bytes`,
        );
      const nid = view.getUint32(first + at + 4, true) * 2 ** 32 + view.getUint32(first + at, true);
      const name = this.#name(group.subarray(nameStart, nameEnd), start + at);
      this.entries.push({ name, nid, type: view.getUint8(first + at + 10) });
      nameStart = nameEnd;
    }
    for (let at = nameStart; at < group.length; at++)
      if (group[at] !== 0) fail('dirent', at, 'data behind the last name');
  }

  /** @param at of its entry in the image */
  #name(nameBytes: Uint8Array, at: number): ByteString {
    const reader = this.#reader;
    const name = byteStringFromBytes(nameBytes);
    const problem = name === '.' || name === '..' ? undefined : nameProblem(name);
    if (problem !== undefined) reader.fail('dirent.name', at, `the name ${problem.problem}`);
    if (name <= this.#previous)
      reader.fail('dirent.name', at, `${JSON.stringify(name)} comes after ${JSON.stringify(this.#previous)}`);
    this.#previous = name;
    return name;
  }
}

function endOfLastName(group: Uint8Array, start: number): number {
  const end = group.indexOf(0, start);
  return end < 0 ? group.length : end;
}
