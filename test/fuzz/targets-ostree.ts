/** What a fuzz run feeds: every parser of ostree data. Anything but a CfsError thrown is a failure. */

import { parseType, parseVariant, serializeVariant } from '../../src/formats/gvariant.ts';
import { parseCommit, serializeCommit } from '../../src/formats/ostree/commit.ts';
import { parseDetachedMetadata, serializeDetachedMetadata } from '../../src/formats/ostree/detached-metadata.ts';
import { parseDirmeta, serializeDirmeta } from '../../src/formats/ostree/dirmeta.ts';
import { parseDirtree, serializeDirtree } from '../../src/formats/ostree/dirtree.ts';
import {
  parseArchiveHeader,
  parseContentHeader,
  parseOstreemeta,
  serializeArchiveHeader,
  serializeContentHeader,
  serializeOstreemeta,
} from '../../src/formats/ostree/file-header.ts';
import { parseRefFile, validateRefName } from '../../src/formats/ostree/refs.ts';
import { parseKeyFile, parseRepoConfig } from '../../src/formats/ostree/repo-config.ts';
import { parseSizeEntry, sizesOf } from '../../src/formats/ostree/sizes.ts';
import { parseFileXattrs, serializeFileXattrs } from '../../src/formats/ostree/xattrs.ts';
import { readVector, readVectorJson, readVectorTar } from '../support/vectors.ts';
import type { FuzzTarget } from './target.ts';

const archive = readVectorTar('repos/archive.tar.gz');
const bareUser = readVectorTar('repos/bare-user.tar.gz');
const splitXattrs = readVectorTar('repos/bare-split-xattrs.tar.gz');
const hostile = readVectorJson<{
  cases: Array<{ category: string; dir: string; object_type?: string; files: Record<string, string> }>;
}>('hostile/expected.json').cases;

/** Not more than this of a kind: a run spends its time on changes, not on seeds. */
const MAX_SEEDS = 40;
const MAX_SEED_BYTES = 8192;
const pick = (seeds: Iterable<Uint8Array>): Uint8Array[] =>
  [...seeds].filter(({ length }) => length <= MAX_SEED_BYTES).slice(0, MAX_SEEDS);
const stored = (repo: typeof archive, extension: string): Uint8Array[] =>
  [...repo.values()]
    .filter(({ path }) => path.startsWith('objects/') && path.endsWith(extension))
    .map(({ content }) => content);
const hostileObjects = (type: string): Uint8Array[] =>
  hostile
    .filter((one) => one.category === 'objects' && one.object_type === type)
    .map((one) => readVector(`hostile/${one.dir}/${one.files.object}`));
const hostileFiles = (category: string, file: string): Uint8Array[] =>
  hostile
    .filter((one) => one.category === category && file in one.files)
    .map((one) => readVector(`hostile/${one.dir}/${one.files[file]}`));

const headers = stored(archive, '.filez').map((bytes) => bytes.slice(0, parseArchiveHeader(bytes).headerBytes));
const attributes = [...bareUser.values()].flatMap(({ xattrs }) => [...xattrs.values()]);
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const decode = (bytes: Uint8Array): string => new TextDecoder('utf-8').decode(bytes);

/** What was read must be written back to the same bytes: a difference is a mistake of ours, and not a CfsError. */
function requireSame(name: string, written: Uint8Array, read: Uint8Array): void {
  if (written.length !== read.length || written.some((byte, i) => byte !== read[i]))
    throw new Error(`${name}: accepted bytes are written differently`);
}
/** Round trips are no good with a NaN, whose bits JavaScript may change, and with related objects, which are dropped. */
const VARIANT_TYPES = [
  '(a{sv}aya(say)sstayay)',
  'a{sv}',
  '(a(s(taya{sv}))a{sv})',
  '(ybnqiuxtsogaymsmm(yu))',
  'aa(mvas)',
  'v',
].map((signature) => parseType(signature));

export const targets: FuzzTarget[] = [
  {
    name: 'gvariant',
    parse(bytes) {
      // The first byte chooses type and byte order.
      const type = VARIANT_TYPES[(bytes[0] ?? 0) % VARIANT_TYPES.length];
      const endian = (bytes[0] ?? 0) >= 0x80 ? 'be' : 'le';
      const data = bytes.subarray(1);
      const value = parseVariant(type, data, { endian });
      const written = serializeVariant(type, value, endian);
      if (!decode(data).includes('d')) requireSame('gvariant', written, data);
    },
    seeds: [
      ...stored(archive, '.commit').map((bytes) => Uint8Array.of(0, ...bytes)),
      ...stored(archive, '.commitmeta').map((bytes) => Uint8Array.of(1, ...bytes)),
      Uint8Array.of(5, 1, 0, 0x79, 0, 0x76),
      Uint8Array.of(
        4,
        ...serializeVariant(VARIANT_TYPES[4], [
          [[{ type: 'a{sv}', value: [['k', { type: 'v', value: { type: 'ms', value: 'x' } }]] }, ['a', '']]],
        ]),
      ),
      Uint8Array.of(
        3,
        ...serializeVariant(VARIANT_TYPES[3], [
          1,
          true,
          -2,
          3,
          -4,
          5,
          -6n,
          7n,
          's',
          '/o',
          'a{sv}',
          text('ay'),
          'ms',
          [[1, 2]],
        ]),
      ),
    ],
  },
  {
    name: 'gvariant-type',
    parse: (bytes) => void parseType(decode(bytes)),
    seeds: VARIANT_TYPES.map(({ signature }) => text(signature)),
  },
  {
    name: 'commit',
    parse(bytes) {
      const commit = parseCommit(bytes);
      const written = serializeCommit(commit);
      if (written.length === bytes.length && !decode(bytes).includes('d')) requireSame('commit', written, bytes);
      sizesOf(commit);
    },
    seeds: pick([...stored(archive, '.commit'), ...hostileObjects('commit')]),
  },
  {
    name: 'dirtree',
    parse: (bytes) => requireSame('dirtree', serializeDirtree(parseDirtree(bytes)), bytes),
    seeds: pick([...stored(archive, '.dirtree').slice(0, MAX_SEEDS / 2), ...hostileObjects('dirtree')]),
  },
  {
    name: 'dirmeta',
    parse: (bytes) => requireSame('dirmeta', serializeDirmeta(parseDirmeta(bytes)), bytes),
    seeds: pick([...stored(archive, '.dirmeta'), ...hostileObjects('dirmeta')]),
  },
  {
    name: 'archive-header',
    parse(bytes) {
      const { header, sizeBytes, headerBytes } = parseArchiveHeader(bytes);
      requireSame('archive header', serializeArchiveHeader(header, sizeBytes), bytes.subarray(0, headerBytes));
    },
    seeds: pick([...hostileObjects('file'), ...headers]),
  },
  {
    name: 'content-header',
    parse: (bytes) => requireSame('content header', serializeContentHeader(parseContentHeader(bytes)), bytes),
    seeds: pick(headers.map((bytes) => serializeContentHeader(parseArchiveHeader(bytes).header))),
  },
  {
    name: 'ostreemeta',
    parse(bytes) {
      const written = serializeOstreemeta(parseOstreemeta(bytes)); // sorted, unlike perhaps the bytes
      if (written.length !== bytes.length)
        throw new Error('user.ostreemeta: accepted bytes are written at another length');
    },
    seeds: pick(attributes),
  },
  {
    name: 'file-xattrs',
    parse: (bytes) => requireSame('file-xattrs', serializeFileXattrs(parseFileXattrs(bytes)), bytes),
    seeds: pick(stored(splitXattrs, '.file-xattrs')),
  },
  {
    name: 'detached-metadata',
    parse(bytes) {
      const written = serializeDetachedMetadata(parseDetachedMetadata(bytes));
      if (!decode(bytes).includes('d')) requireSame('detached metadata', written, bytes);
    },
    seeds: [...stored(archive, '.commitmeta'), new Uint8Array(0)],
  },
  {
    name: 'size-entry',
    parse: (bytes) => void parseSizeEntry(bytes),
    seeds: [new Uint8Array(34), new Uint8Array(36).fill(0x81, 32, 34)],
  },
  { name: 'ref-file', parse: (bytes) => void parseRefFile(bytes), seeds: pick(hostileFiles('refs', 'ref')) },
  {
    name: 'ref-name',
    parse: (bytes) => validateRefName(decode(bytes)),
    seeds: ['os/x86_64/stable', 'é', 'a/.b'].map(text),
  },
  {
    name: 'key-file',
    parse: (bytes) => void parseKeyFile(decode(bytes)),
    seeds: pick([...hostileFiles('config', 'config'), text('# c\n\n[remote "a"]\r\n k[de] = v\\n\n')]),
  },
  {
    name: 'repo-config',
    parse: (bytes) => void parseRepoConfig(bytes),
    seeds: pick([
      ...hostileFiles('config', 'config'),
      text(
        '[core]\nrepo_version=1\nmode=bare\ncollection-id=a.b\nlock-timeout-secs=-1\nparent=/x\\s\n[remote "o"]\nurl=u\n',
      ),
    ]),
  },
];
