/** Golden data under test/vectors, and a reader of tar archives that needs neither root nor a disk to unpack to. */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { type ByteString, byteStringFromBytes, byteStringToText } from '../../src/formats/byte-string.ts';

/** Absolute path of `name`, which is relative to test/vectors. */
export const vectorPath = (name: string): string => fileURLToPath(new URL(`../vectors/${name}`, import.meta.url));

/** Bytes of one file. A plain Uint8Array, so that results compare equal to it. */
export const readVector = (name: string): Uint8Array => new Uint8Array(readFileSync(vectorPath(name)));

export const readVectorJson = <T>(name: string): T => JSON.parse(readFileSync(vectorPath(name), 'utf8')) as T;

export interface TarEntry {
  /** Without a leading `./` or trailing `/`; bytes that are not UTF-8 become U+FFFD. */
  path: string;
  type: 'file' | 'directory' | 'symlink' | 'character' | 'block' | 'fifo';
  /** Permission bits with setuid, setgid, sticky. */
  permissions: number;
  uid: number;
  gid: number;
  /** Whole seconds. */
  mtimeSeconds: number;
  /** Of a file; a hard link has that of its first name. */
  content: Uint8Array;
  /** Of a symlink, otherwise ''. */
  target: ByteString;
  xattrs: Map<ByteString, Uint8Array>;
  /** Path of the first name that this hard link shares its inode with. */
  hardLinkTo?: string;
}

/** The entries of a `.tar.gz` in test/vectors by their path, in stored order. */
export const readVectorTar = (name: string): Map<string, TarEntry> => readTar(gunzipSync(readVector(name)));

const BLOCK_BYTES = 512;
const XATTR_PREFIX = 'SCHILY.xattr.';
const TYPES = new Map<string, TarEntry['type']>([
  ['0', 'file'],
  ['\0', 'file'],
  ['2', 'symlink'],
  ['3', 'character'],
  ['4', 'block'],
  ['5', 'directory'],
  ['6', 'fifo'],
]);

/** ustar with the GNU long names and pax headers (xattrs as `SCHILY.xattr.*`). Throws on anything else. */
export function readTar(tar: Uint8Array): Map<string, TarEntry> {
  const entries = new Map<string, TarEntry>();
  let pax = new Map<ByteString, Uint8Array>();
  let longName: Uint8Array | undefined;
  let longLink: Uint8Array | undefined;
  for (let at = 0; at + BLOCK_BYTES <= tar.length && tar[at] !== 0; ) {
    const header = tar.subarray(at, at + BLOCK_BYTES);
    const size = number(pax.get('size' as ByteString)) ?? field(header, 124, 12);
    const type = String.fromCharCode(header[156]);
    const body = tar.subarray(at + BLOCK_BYTES, at + BLOCK_BYTES + size);
    at += BLOCK_BYTES + Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
    if (type === 'x') {
      pax = paxRecords(body);
    } else if (type === 'L') {
      longName = untilNul(body);
    } else if (type === 'K') {
      longLink = untilNul(body);
    } else if (type !== 'g') {
      const path = normalize(pax.get('path' as ByteString) ?? longName ?? ustarName(header));
      const link = pax.get('linkpath' as ByteString) ?? longLink ?? untilNul(header.subarray(157, 257));
      const attributes = {
        path,
        permissions: field(header, 100, 8),
        uid: number(pax.get('uid' as ByteString)) ?? field(header, 108, 8),
        gid: number(pax.get('gid' as ByteString)) ?? field(header, 116, 8),
        mtimeSeconds: Math.floor(number(pax.get('mtime' as ByteString)) ?? field(header, 136, 12)),
        xattrs: xattrsOf(pax),
      };
      entries.set(
        path,
        type === '1' ? hardLink(entries, path, normalize(link)) : { ...attributes, ...shape(type, link, body) },
      );
      pax = new Map();
      longName = undefined;
      longLink = undefined;
    }
  }
  return entries;
}

function shape(type: string, link: Uint8Array, body: Uint8Array): Pick<TarEntry, 'type' | 'content' | 'target'> {
  const known = TYPES.get(type);
  if (known === undefined) throw new Error(`tar entry of unknown type ${JSON.stringify(type)}`);
  return {
    type: known,
    content: new Uint8Array(body),
    target: byteStringFromBytes(known === 'symlink' ? link : new Uint8Array(0)),
  };
}

function hardLink(entries: Map<string, TarEntry>, path: string, first: string): TarEntry {
  const target = entries.get(first);
  if (target === undefined) throw new Error(`tar entry ${path} links to ${first}, which is not there`);
  return { ...target, path, hardLinkTo: first };
}

function xattrsOf(pax: Map<ByteString, Uint8Array>): Map<ByteString, Uint8Array> {
  const xattrs = new Map<ByteString, Uint8Array>();
  for (const [key, value] of pax)
    if (key.startsWith(XATTR_PREFIX)) xattrs.set(key.slice(XATTR_PREFIX.length) as ByteString, value);
  return xattrs;
}

/** Records `<length> <key>=<value>\n`; the length counts itself, keys and values are bytes. */
function paxRecords(body: Uint8Array): Map<ByteString, Uint8Array> {
  const records = new Map<ByteString, Uint8Array>();
  for (let at = 0; at < body.length; ) {
    const space = body.indexOf(0x20, at);
    const length = Number(text(body.subarray(at, space)));
    const equals = body.indexOf(0x3d, space);
    const key = byteStringFromBytes(body.subarray(space + 1, equals));
    records.set(key, new Uint8Array(body.subarray(equals + 1, at + length - 1)));
    at += length;
  }
  return records;
}

/** Octal text, or GNU base-256 when the first bit is set. */
function field(header: Uint8Array, start: number, length: number): number {
  const bytes = header.subarray(start, start + length);
  if (bytes[0] < 0x80) return Number.parseInt(text(untilNul(bytes)).trim() || '0', 8);
  return bytes.reduce((value, byte, i) => value * 256 + (i === 0 ? byte & 0x7f : byte), 0);
}

function ustarName(header: Uint8Array): Uint8Array {
  const name = untilNul(header.subarray(0, 100));
  const isPosix = text(header.subarray(257, 263)) === 'ustar\0'; // GNU's own format keeps times where the prefix would be
  const prefix = isPosix ? untilNul(header.subarray(345, 500)) : new Uint8Array(0);
  return prefix.length === 0 ? name : new TextEncoder().encode(`${text(prefix)}/${text(name)}`);
}

const number = (bytes: Uint8Array | undefined): number | undefined =>
  bytes === undefined ? undefined : Number(text(bytes));
const text = (bytes: Uint8Array): string => byteStringToText(byteStringFromBytes(bytes));
const normalize = (path: Uint8Array): string => text(path).replace(/^\.\//, '').replace(/\/$/, '');
const untilNul = (bytes: Uint8Array): Uint8Array => {
  const nul = bytes.indexOf(0);
  return nul < 0 ? bytes : bytes.subarray(0, nul);
};
