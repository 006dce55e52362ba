/** The formats in a real browser, on nothing but what the page brings with it. */

import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { build, type Metafile } from 'esbuild';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Algorithm } from '../../src/formats/ids.ts';
import { readUnpacked } from '../formats/erofs/image-vectors.ts';
import type { ExpectedStream } from '../support/composefs-vectors.ts';
import { describeWithPeers, getPeer } from '../support/peers.ts';
import { expectSuccess, runCommand } from '../support/run-command.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { readVector, readVectorJson, readVectorTar } from '../support/vectors.ts';
import type { PageInput, PageResult } from './page.ts';

const ROOT = resolve(import.meta.dirname, '../..');
/** Chromium gives up on a page after this much of its own time, of which computing takes none. */
const PAGE_TIME_MS = 600_000;
/** The browser stays on this machine. */
const FLAGS = [
  ...[
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
  ],
  ...['--disable-component-update', '--disable-sync', '--disable-default-apps', '--disable-extensions'],
  ...['--host-resolver-rules=MAP * ~NOTFOUND', `--virtual-time-budget=${PAGE_TIME_MS}`, '--dump-dom'],
];

/** Everything in one script; whatever does not exist in a browser fails the build. */
async function bundle(entry: string): Promise<{ code: string; metafile: Metafile }> {
  const { outputFiles, metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: [entry],
    bundle: true,
    platform: 'browser',
    format: 'iife',
    target: 'es2023',
    write: false,
    metafile: true,
    logLevel: 'silent',
  });
  return { code: outputFiles[0].text, metafile };
}

describe('bundled for the browser', () => {
  test('the formats stand on themselves, @noble/hashes and fflate, and import nothing else', async () => {
    const { metafile } = await bundle('src/formats/index.ts');
    const inputs = Object.keys(metafile.inputs);
    expect(inputs).toContain('src/formats/zstd.ts');
    expect(
      inputs.filter(
        (path) => !/^(?:src\/formats\/|src\/errors\.ts$|node_modules\/(?:@noble\/hashes|fflate)\/)/.test(path),
      ),
    ).toEqual([]);
    const imports = Object.values(metafile.outputs).flatMap((output) => output.imports);
    expect(imports).toEqual([]);
  });

  test('a Node module in a bundle would be noticed', async () => {
    await expect(bundle('src/native.ts')).rejects.toThrow(/Could not resolve "node:module"/);
  });
});

interface CommitFacts {
  checksum: string;
  parent: string | null;
  subject: string;
  body: string;
  timestamp: number;
  root_tree: string;
  entries: Array<{ path: string; type: string }>;
}
interface Images {
  images: Record<'v0' | 'v1', { fsverity_sha256: string }>;
  dump: string;
}

const { commits } = readVectorJson<{ commits: Record<string, CommitFacts> }>('repos/expected.json');
const images = readVectorJson<{ commits: Record<string, { verity: Images }>; handmade: Record<string, Images> }>(
  'images/expected.json',
);
const { streams, repositories } = readVectorJson<{
  streams: Record<string, ExpectedStream & { commit_name: string }>;
  repositories: Record<string, { refs: Record<string, { name: string; compute_id: string }> }>;
}>('composefs/expected.json');
const hostile = readVectorJson<{
  cases: Array<{ id: string; object_type?: string; verdict?: string; dir: string; files: Record<string, string> }>;
}>('hostile/expected.json').cases.filter((one) => one.object_type === 'dirtree');

const archive = readVectorTar('repos/archive.tar.gz');
const objectOf = (checksum: string, type: string): Uint8Array =>
  archive.get(`objects/${checksum.slice(0, 2)}/${checksum.slice(2)}.${type}`)?.content as Uint8Array;
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

describeWithPeers('in Chromium', ['chromium'], () => {
  const commit = commits['main-3'];
  const wantedStreams = Object.values(streams).filter(({ file }) => file !== undefined);
  const texts = [readVector('repos/expected.json'), new Uint8Array(300_000), readVector('repos/archive.tar.gz')];
  const composefsRefs = Object.values(repositories['sha512-v2'].refs);
  const wantedImages = [
    ...Object.values(images.handmade),
    ...Object.values(images.commits).map(({ verity }) => verity),
  ].flatMap(({ dump, images: made }) =>
    ([0, 1] as const)
      .filter((version) => made[`v${version}`]?.fsverity_sha256 !== undefined)
      .map((version) => ({
        dump: readUnpacked(`images/${dump}`),
        version,
        algorithm: 'sha256' as Algorithm,
        id: made[`v${version}`].fsverity_sha256,
      })),
  );
  const imagesOfRust = composefsRefs.map(({ name, compute_id }) => ({
    dump: readUnpacked(`composefs/dumps/sha512-${name}.dump.gz`),
    version: 2 as const,
    algorithm: 'sha512' as Algorithm,
    id: compute_id.replace(/^sha512:/, ''),
  }));
  const allImages = [...wantedImages, ...imagesOfRust];

  let result: PageResult;
  beforeAll(async () => {
    const input: PageInput = {
      commit: base64(objectOf(commit.checksum, 'commit')),
      dirtree: base64(objectOf(commit.root_tree, 'dirtree')),
      streams: wantedStreams.map(({ algorithm, file }) => ({
        algorithm: algorithm.slice('fsverity-'.length, -'-12'.length) as Algorithm,
        bytes: base64(readVector(`composefs/${file}`)),
      })),
      frames: texts.map((bytes) => base64(zstdCompressSync(bytes))),
      images: allImages.map(({ dump, version, algorithm }) => ({ dump: base64(dump), version, algorithm })),
      hostile: hostile.map(({ dir, files }) => base64(readVector(`hostile/${dir}/${files.object}`))),
    };
    result = await runPage(input);
  });

  test('there is nothing of Node', () => expect(result.globals).toEqual([]));

  test('a commit and a dirtree', () => {
    const { parent, subject, body, root_tree: rootDirtree, checksum } = commit;
    expect(result.commit).toEqual({
      subject,
      body,
      parent,
      rootDirtree,
      timestampSeconds: String(commit.timestamp),
      sha256: checksum,
    });
    const names = commit.entries.flatMap(({ path }) => /^\/([^/]+)$/.exec(path)?.[1] ?? []);
    expect(result.dirtree.sha256).toBe(rootDirtree);
    expect(result.dirtree.names.sort()).toEqual(names.sort());
  });

  test('commit streams and their maps', () => {
    expect(result.streams).toHaveLength(wantedStreams.length);
    for (const [i, { header, content, commit: checksum, commit_map: map }] of wantedStreams.entries()) {
      const objects = 'same_as' in map ? undefined : map.objects;
      expect(result.streams[i]).toMatchObject({
        sizeBytes: header.stream_size,
        sha256: content.sha256,
        objects: header.object_ref_ids,
        commit: checksum,
        again: true,
        ...(objects && { checksums: objects.map((object) => object.checksum) }),
      });
    }
  });

  test('zstd', () => expect(result.frames).toEqual(texts.map(sha256)));

  test.each(allImages.map(({ id, version, algorithm }, i) => ({ id, version, algorithm, i })))(
    'image $i, version $version, $algorithm',
    ({ id, i }) => expect(result.images[i]).toMatchObject({ id, dumpsAgain: true }),
  );

  test('bad bytes are refused with our own errors', () => {
    expect(result.hostile.length).toBeGreaterThan(5);
    for (const [i, message] of result.hostile.entries())
      expect(message, hostile[i].id).toMatch(/^(?:accepted|CFS_(?:FORMAT|LIMIT): .+)$/);
    expect(result.hostile.filter((message) => message !== 'accepted').length).toBeGreaterThan(5);
  });
});

async function runPage(input: PageInput): Promise<PageResult> {
  await using directory = await makeTemporaryDirectory();
  const { code } = await bundle('test/browser/page.ts');
  const page = directory.join('page.html');
  await writeFile(
    page,
    `<!doctype html><meta charset="utf-8"><script type="application/json" id="input">${JSON.stringify(input)}</script>
    <pre id="result"></pre><script>${code.replaceAll('</script', '<\\/script')}</script>`,
  );
  const profile = `--user-data-dir=${directory.join('profile')}`;
  const outcome = await runCommand(getPeer('chromium'), [...FLAGS, profile, `file://${page}`], {
    env: { ...process.env, HOME: directory.path, XDG_CONFIG_HOME: join(directory.path, 'config') },
    timeoutMs: 240_000,
  });
  const { stdout, stderr } = expectSuccess('chromium', outcome);
  const found = /<pre id="result">([\s\S]*?)<\/pre>/.exec(stdout)?.[1];
  if (!found) throw new Error(`the page did not finish\n${stderr.slice(-2000)}`);
  const result = JSON.parse(unescapeHtml(found)) as PageResult & { error?: string };
  if (result.error !== undefined) throw new Error(`in the page: ${result.error}`);
  return result;
}

const unescapeHtml = (html: string): string =>
  html.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&nbsp;', '\u00a0').replaceAll('&amp;', '&');
