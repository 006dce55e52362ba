/** Runs in the browser: what it makes of the vectors goes into the page, for the test to compare. */

import * as formats from '../../src/formats/index.ts';

/** Binary values are base64. */
export interface PageInput {
  commit: string;
  dirtree: string;
  streams: Array<{ algorithm: formats.Algorithm; bytes: string }>;
  frames: string[];
  images: Array<{ dump: string; version: 0 | 1 | 2; algorithm: formats.Algorithm }>;
  hostile: string[];
}

export interface PageResult {
  commit: {
    subject: string;
    body: string;
    timestampSeconds: string;
    parent?: string;
    rootDirtree: string;
    sha256: string;
  };
  dirtree: { names: string[]; sha256: string };
  streams: Array<{
    sizeBytes: number;
    sha256: string;
    objects: string[];
    commit: string;
    checksums: string[];
    again: boolean;
  }>;
  frames: string[];
  images: Array<{ id: string; entries: number; dumpsAgain: boolean }>;
  /** Messages of the errors, all of our own kind. */
  hostile: string[];
  /** What browsers do not have. */
  globals: string[];
}

const MAX_BYTES = 1 << 24;
const { portableHashing, portableZstd, toHex } = formats;
const bytesOf = (base64: string): Uint8Array => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
const sha256 = (bytes: Uint8Array): string => toHex(portableHashing.sha256(bytes));
const text = (name: formats.ByteString): string => formats.byteStringToText(name);

function readCommit(bytes: Uint8Array): PageResult['commit'] {
  const commit = formats.parseCommit(bytes);
  const { subject, body, timestampSeconds, parent, rootDirtree } = commit;
  const own = sha256(formats.serializeCommit(commit));
  return {
    subject,
    body,
    timestampSeconds: String(timestampSeconds),
    ...(parent && { parent }),
    rootDirtree,
    sha256: own,
  };
}

function readDirtree(bytes: Uint8Array): PageResult['dirtree'] {
  const dirtree = formats.parseDirtree(bytes);
  const names = [...dirtree.files, ...dirtree.directories].map(({ name }) => text(name));
  return { names, sha256: sha256(formats.serializeDirtree(dirtree)) };
}

async function readStream(algorithm: formats.Algorithm, bytes: Uint8Array): Promise<PageResult['streams'][number]> {
  const options = { algorithm, contentType: formats.CONTENT_TYPE_OSTREE_COMMIT, zstd: portableZstd };
  const stream = await formats.parseSplitstream(bytes, options);
  const content = await formats.readInlineContent(bytes, stream, { zstd: portableZstd, maxBytes: MAX_BYTES });
  const map = formats.CommitMap.parse(content, stream.objectRefs, algorithm);
  const digestBytes = algorithm === 'sha256' ? 32 : 64;
  const objects: string[] = [];
  for (let at = 0; at < stream.objectRefs.length; at += digestBytes)
    objects.push(toHex(stream.objectRefs.subarray(at, at + digestBytes)));
  const { contentType, streamSize, objectRefs, namedRefs } = stream;
  const written = await formats.serializeSplitstream(
    { algorithm, contentType, streamSize, objectRefs, namedRefs, content },
    portableZstd,
  );
  const again = await formats.parseSplitstream(written, options);
  const contentAgain = await formats.readInlineContent(written, again, { zstd: portableZstd, maxBytes: MAX_BYTES });
  return {
    sizeBytes: streamSize,
    sha256: sha256(content),
    objects,
    commit: map.commit,
    checksums: Array.from({ length: map.count }, (_, i) => map.checksumAt(i)),
    again: sha256(contentAgain) === sha256(content),
  };
}

function makeImage({ dump, version, algorithm }: PageInput['images'][number]): PageResult['images'][number] {
  const image = formats.serializeErofs(formats.parseDumpfile(bytesOf(dump)), { version, algorithm });
  const root = formats.ErofsImage.open(image).readTree();
  const parts = [...formats.serializeDumpfile(root)].map((part) =>
    Array.from(part, (byte) => String.fromCharCode(byte)).join(''),
  );
  const again = Uint8Array.from(parts.join(''), (character) => character.charCodeAt(0));
  const imageAgain = formats.serializeErofs(formats.parseDumpfile(again), { version, algorithm });
  return {
    id: toHex(formats.fsVerityDigest(algorithm, image)),
    entries: root.entries.size,
    dumpsAgain: sha256(imageAgain) === sha256(image),
  };
}

function refuse(bytes: Uint8Array): string {
  try {
    formats.parseDirtree(bytes);
    return 'accepted';
  } catch (error) {
    return error instanceof formats.CfsError ? `${error.code}: ${error.message}` : `not ours: ${error}`;
  }
}

async function run(input: PageInput): Promise<PageResult> {
  const streams: PageResult['streams'] = [];
  for (const { algorithm, bytes } of input.streams) streams.push(await readStream(algorithm, bytesOf(bytes)));
  const frames: string[] = [];
  for (const frame of input.frames) frames.push(sha256(await portableZstd.decompress(bytesOf(frame), MAX_BYTES)));
  return {
    commit: readCommit(bytesOf(input.commit)),
    dirtree: readDirtree(bytesOf(input.dirtree)),
    streams,
    frames,
    images: input.images.map(makeImage),
    hostile: input.hostile.map((bytes) => refuse(bytesOf(bytes))),
    globals: ['process', 'Buffer', 'require', 'global'].filter((name) => name in globalThis),
  };
}

const result = document.getElementById('result') as HTMLElement;
run(JSON.parse((document.getElementById('input') as HTMLElement).textContent) as PageInput).then(
  (found) => {
    result.textContent = JSON.stringify(found);
  },
  (error: unknown) => {
    result.textContent = JSON.stringify({ error: String(error instanceof Error ? error.stack : error) });
  },
);
