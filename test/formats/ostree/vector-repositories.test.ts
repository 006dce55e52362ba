/** One tree in five repository modes, written by libostree 2026.4: every object is read, written back and named again. */

import { sha256 } from '@noble/hashes/sha2.js';
import { inflateSync } from 'fflate';
import { describe, expect, test } from 'vitest';
import { FormatError } from '../../../src/errors.ts';
import { type ByteString, byteStringFromBytes, byteStringToBytes } from '../../../src/formats/byte-string.ts';
import type { RepositoryMode } from '../../../src/formats/file-body.ts';
import { type GvValue, parseType, parseVariant, type VariantDictionary } from '../../../src/formats/gvariant.ts';
import { type Checksum, fromHex, toHex } from '../../../src/formats/ids.ts';
import { composefsDigest, parseCommit, refBindings, serializeCommit } from '../../../src/formats/ostree/commit.ts';
import { parseDetachedMetadata, serializeDetachedMetadata } from '../../../src/formats/ostree/detached-metadata.ts';
import { parseDirmeta, serializeDirmeta } from '../../../src/formats/ostree/dirmeta.ts';
import { parseDirtree, serializeDirtree } from '../../../src/formats/ostree/dirtree.ts';
import {
  type FileHeader,
  isSymlink,
  parseArchiveHeader,
  parseContentHeader,
  parseOstreemeta,
  serializeArchiveHeader,
  serializeContentHeader,
  serializeOstreemeta,
} from '../../../src/formats/ostree/file-header.ts';
import { parseRefFile } from '../../../src/formats/ostree/refs.ts';
import { parseRepoConfig } from '../../../src/formats/ostree/repo-config.ts';
import { sizesOf } from '../../../src/formats/ostree/sizes.ts';
import { parseFileXattrs, serializeFileXattrs } from '../../../src/formats/ostree/xattrs.ts';
import { FileType, type Xattr } from '../../../src/formats/tree.ts';
import { readVectorJson, readVectorTar, type TarEntry } from '../../support/vectors.ts';

interface MetadataItem {
  key: string;
  type: string;
  data_hex: string;
}
interface ExpectedCommit {
  checksum: Checksum;
  metadata: MetadataItem[];
  detached_metadata: MetadataItem[] | null;
  parent: Checksum | null;
  subject: string;
  body: string;
  timestamp: number;
  root_tree: Checksum;
  root_meta: Checksum;
  sizes_decoded?: Array<{ checksum: string; archived: number; unpacked: number; objtype: number | null }>;
  entries: object[];
}
interface Expected {
  repos: Record<RepositoryMode, { refs: Record<string, string>; loose_object_counts: Record<string, number> }>;
  commits: Record<string, ExpectedCommit>;
}

const expected = readVectorJson<Expected>('repos/expected.json');
const commits = Object.entries(expected.commits);
const modes = Object.keys(expected.repos) as RepositoryMode[];
const checksumOf = (...parts: Uint8Array[]): string => {
  const hash = sha256.create();
  for (const part of parts) hash.update(part);
  return toHex(hash.digest());
};

interface FileObject {
  header: FileHeader;
  content: Uint8Array;
}
const NOTHING = new Uint8Array(0);

/** A file object as the mode keeps it. */
function readFileObject(mode: RepositoryMode, repo: Map<string, TarEntry>, path: string): FileObject {
  const entry = repo.get(path) as TarEntry;
  const common = { uid: entry.uid, gid: entry.gid };
  const typed = entry.permissions | (entry.type === 'symlink' ? FileType.symlink : FileType.file);
  switch (mode) {
    case 'archive': {
      const { header, sizeBytes, headerBytes } = parseArchiveHeader(entry.content);
      expect(serializeArchiveHeader(header, sizeBytes)).toEqual(entry.content.subarray(0, headerBytes));
      const body = entry.content.subarray(headerBytes);
      if (isSymlink(header)) expect(body.length).toBe(0);
      const content = isSymlink(header) ? NOTHING : inflateSync(body);
      expect(content.length).toBe(sizeBytes);
      return { header, content };
    }
    case 'bare':
      return {
        header: { ...common, mode: typed, target: entry.target, xattrs: xattrsOf(entry) },
        content: entry.content,
      };
    case 'bare-user': {
      const attribute = entry.xattrs.get('user.ostreemeta' as ByteString) as Uint8Array;
      const inode = parseOstreemeta(attribute);
      expect(serializeOstreemeta(inode)).toEqual(attribute);
      if (!isSymlink(inode)) return { header: { ...inode, target: '' as ByteString }, content: entry.content };
      expect(entry.content.at(-1)).toBe(0);
      return { header: { ...inode, target: byteStringFromBytes(entry.content.subarray(0, -1)) }, content: NOTHING };
    }
    case 'bare-user-only':
      return { header: { uid: 0, gid: 0, mode: typed, target: entry.target, xattrs: [] }, content: entry.content };
    case 'bare-split-xattrs': {
      const link = repo.get(`${path}-xattrs-link`) as TarEntry;
      const xattrs = parseFileXattrs(link.content);
      expect(serializeFileXattrs(xattrs)).toEqual(link.content);
      return { header: { ...common, mode: typed, target: entry.target, xattrs }, content: entry.content };
    }
  }
}

const xattrsOf = (entry: TarEntry): Xattr[] => [...entry.xattrs].map(([name, value]) => ({ name, value }));

const OBJECT_PATH = /^objects\/([0-9a-f]{2})\/([0-9a-f]{62})\.([a-z-]+)$/;

describe.each(modes)('%s', (mode) => {
  const repo = readVectorTar(`repos/${mode}.tar.gz`);
  const objects = [...repo.values()].flatMap((entry) => {
    const match = OBJECT_PATH.exec(entry.path);
    return match === null ? [] : [{ entry, checksum: match[1] + match[2], extension: match[3] }];
  });

  test('every object is read, written to the same bytes, and has the checksum that names it', () => {
    const counts: Record<string, number> = {};
    for (const { entry, checksum, extension } of objects) {
      const { content } = entry;
      const at = { object: `${checksum}.${extension}` };
      counts[extension] = (counts[extension] ?? 0) + 1;
      switch (extension) {
        case 'commit':
          expect(serializeCommit(parseCommit(content, at))).toEqual(content);
          expect(checksumOf(content)).toBe(checksum);
          break;
        case 'dirtree':
          expect(serializeDirtree(parseDirtree(content, at))).toEqual(content);
          expect(checksumOf(content)).toBe(checksum);
          break;
        case 'dirmeta':
          expect(serializeDirmeta(parseDirmeta(content, at))).toEqual(content);
          expect(checksumOf(content)).toBe(checksum);
          break;
        case 'commitmeta':
          expect(serializeDetachedMetadata(parseDetachedMetadata(content, at))).toEqual(content);
          break;
        case 'file':
        case 'filez': {
          const file = readFileObject(mode, repo, entry.path);
          const prefix = serializeContentHeader(file.header);
          expect(parseContentHeader(prefix)).toEqual(file.header);
          expect(checksumOf(prefix, file.content)).toBe(checksum);
          break;
        }
        case 'file-xattrs':
          expect(serializeFileXattrs(parseFileXattrs(content, at))).toEqual(content);
          expect(checksumOf(content)).toBe(checksum);
          break;
        default:
          expect(extension).toBe('file-xattrs-link'); // read with its file
      }
    }
    expect(counts).toEqual(expected.repos[mode].loose_object_counts);
  });

  test('every metadata object and header cut short is a FormatError', () => {
    const parsers: Record<string, (bytes: Uint8Array) => unknown> = {
      commit: parseCommit,
      dirtree: parseDirtree,
      dirmeta: parseDirmeta,
    };
    let cuts = 0;
    for (const { entry, extension } of objects) {
      const parser = extension === 'filez' ? parseArchiveHeader : parsers[extension];
      if (parser === undefined) continue;
      const whole = extension === 'filez' ? parseArchiveHeader(entry.content).headerBytes : entry.content.length;
      for (let end = 0; end < whole; end++, cuts++) {
        const cut = entry.content.subarray(0, end);
        // Where the xattrs of a dirmeta start, it is a whole one without xattrs.
        if (extension === 'dirmeta' && end === 12) expect(parseDirmeta(cut).xattrs).toEqual([]);
        else expect(() => parser(cut)).toThrow(FormatError);
      }
    }
    expect(cuts).toBeGreaterThan(1000);
  });

  test('config and refs', () => {
    expect(parseRepoConfig(repo.get('config')?.content as Uint8Array).mode).toBe(mode);
    for (const [ref, checksum] of Object.entries(expected.repos[mode].refs))
      expect(parseRefFile(repo.get(`refs/heads/${ref}`)?.content as Uint8Array)).toBe(checksum);
  });

  const stored = commits.filter(([, { checksum }]) => objects.some((object) => object.checksum === checksum));
  test.each(stored)('the tree of %s', (_, commit) => {
    expect([...listTree(mode, repo, commit)]).toEqual(commit.entries);
  });
});

/** As `expected.json` lists a tree: a directory, its files, its subdirectories. */
function* listTree(mode: RepositoryMode, repo: Map<string, TarEntry>, commit: ExpectedCommit): Generator<object> {
  const at = (checksum: string, extension: string) =>
    `objects/${checksum.slice(0, 2)}/${checksum.slice(2)}.${extension}`;
  const bytesOf = (checksum: string, extension: string) => repo.get(at(checksum, extension))?.content as Uint8Array;
  const textOf = (bytes: ByteString) => new TextDecoder('utf-8', { fatal: true }).decode(byteStringToBytes(bytes));
  const common = ({ uid, gid, mode, xattrs }: FileHeader | ReturnType<typeof parseDirmeta>) => ({
    mode: mode.toString(8).padStart(6, '0'),
    uid,
    gid,
    xattrs: xattrs.map(({ name, value }) => ({
      name_hex: `${toHex(byteStringToBytes(name))}00`,
      name: textOf(name),
      value_hex: toHex(value),
    })),
  });
  function* walk(path: string, dirtree: Checksum, dirmeta: Checksum): Generator<object> {
    const meta = common(parseDirmeta(bytesOf(dirmeta, 'dirmeta')));
    yield {
      path: path === '' ? '/' : path,
      type: 'dir',
      ...meta,
      tree_checksum: dirtree,
      meta_checksum: dirmeta,
    };
    const { files, directories } = parseDirtree(bytesOf(dirtree, 'dirtree'));
    for (const { name, checksum } of files) {
      const { header, content } = readFileObject(mode, repo, at(checksum, mode === 'archive' ? 'filez' : 'file'));
      const only = isSymlink(header) ? { target: textOf(header.target) } : { content_sha256: checksumOf(content) };
      const type = isSymlink(header) ? 'symlink' : 'file';
      yield {
        path: `${path}/${textOf(name)}`,
        type,
        ...common(header),
        size: content.length,
        checksum,
        ...only,
      };
    }
    for (const { name, ...checksums } of directories)
      yield* walk(`${path}/${textOf(name)}`, checksums.dirtree, checksums.dirmeta);
  }
  yield* walk('', commit.root_tree, commit.root_meta);
}

const dictionary = (items: MetadataItem[]): VariantDictionary =>
  items.map(({ key, type, data_hex }): [string, { type: string; value: GvValue }] => [
    key,
    { type, value: parseVariant(parseType(type), fromHex(data_hex)) },
  ]);

describe.each(commits)('%s', (_, commit) => {
  const archive = readVectorTar('repos/archive.tar.gz');
  const objectBytes = (extension: string) =>
    archive.get(`objects/${commit.checksum.slice(0, 2)}/${commit.checksum.slice(2)}.${extension}`)
      ?.content as Uint8Array;

  test('its fields make its checksum', () => {
    const bytes = serializeCommit({
      metadata: dictionary(commit.metadata),
      ...(commit.parent !== null && { parent: commit.parent }),
      subject: commit.subject,
      body: commit.body,
      timestampSeconds: BigInt(commit.timestamp),
      rootDirtree: commit.root_tree,
      rootDirmeta: commit.root_meta,
    });
    expect(checksumOf(bytes)).toBe(commit.checksum);
  });

  test('it reads as expected', () => {
    const parsed = parseCommit(objectBytes('commit'));
    expect(parsed).toEqual({
      metadata: dictionary(commit.metadata),
      ...(commit.parent !== null && { parent: commit.parent }),
      subject: commit.subject,
      body: commit.body,
      timestampSeconds: BigInt(commit.timestamp),
      rootDirtree: commit.root_tree,
      rootDirmeta: commit.root_meta,
    });
    const item = (key: string) => commit.metadata.find((one) => one.key === key);
    const digest = item('ostree.composefs.digest.v0');
    expect(composefsDigest(parsed)).toEqual(digest && fromHex(digest.data_hex));
    expect(refBindings(parsed) === undefined).toBe(item('ostree.ref-binding') === undefined);
  });

  test('detached metadata and sizes', () => {
    if (commit.detached_metadata === null) expect(objectBytes('commitmeta')).toBeUndefined();
    else expect(parseDetachedMetadata(objectBytes('commitmeta'))).toEqual(dictionary(commit.detached_metadata));
    const numbers = { file: 1, dirtree: 2, dirmeta: 3 } as Record<string, number>;
    const sizes = sizesOf(parseCommit(objectBytes('commit')))?.map((entry) => ({
      checksum: entry.checksum as string,
      archived: Number(entry.archivedBytes),
      unpacked: Number(entry.unpackedBytes),
      objtype: numbers[entry.type],
    }));
    expect(sizes).toEqual(commit.sizes_decoded);
  });
});
