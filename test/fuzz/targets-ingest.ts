/**
 * What a fuzz run feeds: `.filez` objects, through the addon and through the portable engine, whole and in pieces. All four ways
 * must accept the same object as the same thing, or refuse it; anything else is a failure.
 */

import { rmSync } from 'node:fs';
import { deflateRawSync } from 'node:zlib';
import { CfsError, DigestMismatchError } from '../../src/errors.ts';
import type { FileBody } from '../../src/formats/file-body.ts';
import type { Checksum } from '../../src/formats/ids.ts';
import { parseArchiveHeader } from '../../src/formats/ostree/file-header.ts';
import type { OwnedBytes } from '../../src/formats/owned-bytes.ts';
import { native } from '../../src/native.ts';
import type { FileIngest, IngestedFile } from '../../src/store/ingest.ts';
import { NativeIngest } from '../../src/store/ingest-native.ts';
import { PortableIngest } from '../../src/store/ingest-portable.ts';
import { initRepository } from '../../src/store/init.ts';
import { openRepository } from '../../src/store/repository.ts';
import { concat, makeContent, makeObject, makeSymlink, xattr } from '../native/archive-object.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { readVector, readVectorJson, readVectorTar } from '../support/vectors.ts';
import type { FuzzTarget } from './target.ts';

const NOBODY = '0'.repeat(64) as Checksum;
const MAX_SEED_BYTES = 8192;
/** Objects that were accepted stay in memory until the stores are made anew. */
const INPUTS_PER_STORE = 2000;

interface Engines extends AsyncDisposable {
  all: FileIngest[];
  /** Inputs that it may still take. */
  left: number;
}

let engines: Engines | undefined;

async function openEngines(): Promise<Engines> {
  if (native === undefined) throw new Error('the native addon is not built');
  const directory = await makeTemporaryDirectory('memory');
  process.once('exit', () => rmSync(directory.path, { recursive: true, force: true }));
  const open = async (name: string) => {
    const path = directory.join(name);
    await initRepository(path, { algorithm: 'sha256', insecure: true });
    return openRepository(path, { lock: 'shared', write: true });
  };
  const repositories = [await open('addon'), await open('portable')];
  const all = [new NativeIngest(native, repositories[0], { threads: 2 }), new PortableIngest(repositories[1], {})];
  return {
    all,
    left: INPUTS_PER_STORE,
    async [Symbol.asyncDispose]() {
      for (const one of [...all, ...repositories, directory]) await one[Symbol.asyncDispose]();
    },
  };
}

type Verdict = { file: IngestedFile } | { actual: string } | { refusal: CfsError };

async function ingest(engine: FileIngest, checksum: Checksum, body: FileBody): Promise<Verdict> {
  try {
    return { file: await engine.add(checksum, body) };
  } catch (error) {
    if (error instanceof DigestMismatchError) return { actual: error.actual };
    if (error instanceof CfsError) return { refusal: error };
    throw error;
  }
}

async function* inPieces(bytes: Uint8Array): AsyncGenerator<OwnedBytes> {
  const pieceBytes = 1 + (bytes.length >> 2);
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.slice(at, at + pieceBytes);
}

async function judge(checksum: Checksum, bytes: Uint8Array): Promise<Verdict[]> {
  const { all } = engines as Engines;
  return Promise.all(
    all.flatMap((engine) => [
      ingest(engine, checksum, { form: 'archive', bytes: bytes.slice() }),
      ingest(engine, checksum, { form: 'archive-chunks', chunks: inPieces(bytes) }),
    ]),
  );
}

async function requireAgreement(bytes: Uint8Array): Promise<void> {
  if (engines !== undefined && engines.left-- <= 0) {
    await engines[Symbol.asyncDispose]();
    engines = undefined;
  }
  engines ??= await openEngines();
  const first = await judge(NOBODY, bytes);
  // Who got so far as to have a checksum says which one would have been right.
  const actual = new Set(first.flatMap((verdict) => ('actual' in verdict ? [verdict.actual] : [])));
  if (actual.size > 1) throw disagreement('other checksums', first);
  for (const checksum of actual) {
    const second = await judge(checksum as Checksum, bytes);
    const [{ file }] = second as Array<{ file?: IngestedFile }>;
    const isSame =
      file === undefined
        ? second.every((verdict) => 'refusal' in verdict)
        : second.every((verdict) => 'file' in verdict && isEqual(verdict.file, file));
    if (!isSame) throw disagreement('another verdict', second);
  }
}

const isEqual = (a: IngestedFile, b: IngestedFile): boolean =>
  a.sizeBytes === b.sizeBytes &&
  Buffer.compare(a.data, b.data) === 0 &&
  Buffer.compare(a.object ?? new Uint8Array(0), b.object ?? new Uint8Array(0)) === 0;

function disagreement(what: string, verdicts: Verdict[]): Error {
  const ways = ['addon', 'addon in pieces', 'portable', 'portable in pieces'];
  const lines = verdicts.map((verdict, i) => `${ways[i]}: ${describe(verdict)}`);
  return new Error(`${what}\n${lines.join('\n')}`);
}

function describe(verdict: Verdict): string {
  if ('refusal' in verdict) return verdict.refusal.message;
  if ('actual' in verdict) return `its checksum is ${verdict.actual}`;
  const { sizeBytes, data, object } = verdict.file;
  return `${sizeBytes} bytes, object ${Buffer.from(object ?? []).toString('hex')}, data ${Buffer.from(data).toString('hex')}`;
}

/**
 * From header and plain content: so that changes reach what comes after inflating. Of the first byte, bit 0 says that the size in the
 * header is made right, bit 1 that nothing is deflated.
 */
function forge(bytes: Uint8Array): Uint8Array {
  const [flags = 0] = bytes;
  const rest = bytes.slice(1);
  const variantBytes = rest.length < 8 ? 0 : new DataView(rest.buffer).getUint32(0);
  const head = rest.subarray(0, Math.min(8 + variantBytes, rest.length));
  const content = rest.subarray(head.length);
  if (head.length >= 16 && (flags & 1) !== 0) new DataView(rest.buffer).setBigUint64(8, BigInt(content.length));
  return concat(head, (flags & 2) !== 0 ? content : deflateRawSync(content));
}

const objects = [
  makeObject(new Uint8Array(0)),
  makeObject(makeContent(64)),
  makeObject(makeContent(65), { mode: 0o104755, uid: 1000, gid: 2 ** 32 - 1 }),
  makeObject(makeContent(5000), {
    xattrs: [xattr('user.a', '1'), xattr('user.b', 'x'.repeat(240)), xattr('user.c', '')],
  }),
  makeSymlink('a/b/c', { xattrs: [xattr('security.selinux', 'label\0')] }),
];
const { cases } = readVectorJson<{
  cases: Array<{ object_type?: string; dir: string; files: Record<string, string> }>;
}>('hostile/expected.json');
const foreign = [
  ...[...readVectorTar('repos/archive.tar.gz').values()]
    .filter(({ path }) => path.endsWith('.filez'))
    .map(({ content }) => content),
  ...cases
    .filter((one) => one.object_type === 'file')
    .map(({ dir, files }) => readVector(`hostile/${dir}/${files.object}`)),
].filter(({ length }) => length <= MAX_SEED_BYTES);

export const targets: FuzzTarget[] = [
  {
    name: 'ingest',
    parse: requireAgreement,
    seeds: [...objects.map(({ body }) => body), ...foreign],
  },
  {
    name: 'ingest-forged',
    parse: (bytes) => requireAgreement(forge(bytes)),
    seeds: [
      ...objects.map(({ archiveHeader, content }) => concat(Uint8Array.of(1), archiveHeader, content)),
      ...foreign.flatMap((body) => {
        try {
          return [concat(Uint8Array.of(1), body.slice(0, parseArchiveHeader(body).headerBytes), makeContent(100))];
        } catch (error) {
          if (error instanceof CfsError) return [];
          throw error;
        }
      }),
    ],
  },
];
