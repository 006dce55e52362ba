/** The same commit, pulled by cfsctl and by us: the same streams, objects and images, for both algorithms and all versions. */

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { ByteString } from '../../src/formats/byte-string.ts';
import { parseDumpfile, serializeDumpfile } from '../../src/formats/dumpfile.ts';
import { type ErofsVersion, serializeErofs } from '../../src/formats/erofs/writer.ts';
import { fsVerityDigest } from '../../src/formats/fs-verity.ts';
import { toHex } from '../../src/formats/ids.ts';
import type { Directory, Inode } from '../../src/formats/tree.ts';
import { runCliError } from '../cli/run-cli.ts';
import { type Nginx, startNginx } from '../support/nginx.ts';
import { CANONICAL_REF, osTree } from '../support/os-tree.ts';
import { describeWithPeers } from '../support/peers.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';
import { CFSCTL_PEERS, CfsctlRepository, cfsctlSource, DRESSED_REF, LINE_REF } from './cfsctl-source.ts';
import { type Algorithm, Store } from './store.ts';

const ALGORITHMS: Algorithm[] = ['sha256', 'sha512'];
const VERSIONS: ErofsVersion[] = [0, 1, 2];
const MAGIC = 'SplitStream';

/** Ids of everything that is no splitstream: those depend on the zstd library. */
async function listContents(repository: string): Promise<string[]> {
  const objects = join(repository, 'objects');
  const ids: string[] = [];
  for (const folder of await readdir(objects))
    for (const name of await readdir(join(objects, folder))) {
      const bytes = await readFile(join(objects, folder, name));
      if (bytes.subarray(0, MAGIC.length).toString('latin1') !== MAGIC) ids.push(`${folder}${name}`);
    }
  return ids.sort();
}

/** As cfsctl has it: the NUL that ostree stores behind the name of an xattr belongs to the name. */
function withNuls(root: Directory): Directory {
  const seen = new Set<Inode>();
  const pending: Inode[] = [root];
  for (let inode = pending.pop(); inode !== undefined; inode = pending.pop()) {
    if (seen.has(inode)) continue; // hard links
    seen.add(inode);
    inode.xattrs = inode.xattrs.map(({ name, value }) => ({ name: `${name}\0` as ByteString, value }));
    if (inode.kind === 'directory') pending.push(...inode.entries.values());
  }
  return root;
}

vi.setConfig({ testTimeout: 180_000 }); // many programs one after the other

describeWithPeers('images of cfsctl', CFSCTL_PEERS, () => {
  let directory: TemporaryDirectory;
  let nginx: Nginx;
  beforeAll(async () => {
    directory = await makeTemporaryDirectory();
    nginx = await startNginx({ root: (await cfsctlSource()).path });
  });
  afterAll(async () => {
    await nginx[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  describe.each(ALGORITHMS.flatMap((algorithm) => VERSIONS.map((erofsVersion) => ({ algorithm, erofsVersion }))))(
    '$algorithm, EROFS version $erofsVersion',
    ({ algorithm, erofsVersion }) => {
      let ours: Store;
      let theirs: CfsctlRepository;
      beforeAll(async () => {
        const path = (whose: string) => directory.join(`${whose}-${algorithm}-${erofsVersion}`);
        ours = await Store.init(path('ours'), { algorithm, erofsVersion });
        theirs = await CfsctlRepository.init(path('theirs'), { algorithm, erofsVersion });
      });

      test('an empty repository has the same meta.json', async () => {
        const [own, other] = [ours.path, theirs.path].map((path) => join(path, 'meta.json'));
        expect(await readFile(own, 'utf8')).toBe(await readFile(other, 'utf8'));
      });

      test('a commit without xattrs: the same map, contents and image', async () => {
        const { line } = await cfsctlSource();
        const pulled = await ours.pull(nginx.url, LINE_REF, '--create-image');
        expect(await theirs.pull(nginx.url, LINE_REF)).toMatchObject({ commit: line[2], image: pulled.image });
        expect(pulled.commit).toBe(line[2]);
        const stream = `ostree-commit-${line[2]}`;
        const map = await theirs.run('cat', stream);
        expect(map.length).toBeGreaterThan(300_000);
        // cfsctl reads both: our compression as well.
        expect((await new CfsctlRepository(ours.path).run('cat', stream)).equals(map)).toBe(true);
        expect(await listContents(ours.path)).toEqual(await listContents(theirs.path));
        expect((await ours.dump(LINE_REF)).equals(await theirs.run('ostree', 'dump', LINE_REF))).toBe(true);
      });

      test('a commit with xattrs: the same map; the image is that of names without the NUL', async () => {
        const { path, dressed } = await cfsctlSource();
        const { commit, image: ourImage } = await ours.pull(path, DRESSED_REF, '--create-image');
        const { image: theirImage } = await theirs.pull(path, DRESSED_REF);
        expect(commit).toBe(dressed);
        const stream = `ostree-commit-${dressed}`;
        const map = await theirs.run('cat', stream);
        expect((await new CfsctlRepository(ours.path).run('cat', stream)).equals(map)).toBe(true);

        expect(ourImage).not.toBe(theirImage);
        const dump = await ours.dump(DRESSED_REF);
        const tree = parseDumpfile(dump);
        const idOf = (root: Directory): string =>
          toHex(fsVerityDigest(algorithm, serializeErofs(root, { version: erofsVersion, algorithm })));
        expect(idOf(tree)).toBe(ourImage);
        expect(idOf(withNuls(tree))).toBe(theirImage);
        const dumpWithNuls = Buffer.concat([...serializeDumpfile(tree)]);
        expect(dumpWithNuls.equals(await theirs.run('ostree', 'dump', DRESSED_REF))).toBe(true);
        expect((await new Store(theirs.path).dump(theirImage)).equals(dumpWithNuls)).toBe(true);
      });

      const title = erofsVersion === 2 ? 'are refused, as cfsctl refuses to read them' : 'are in the same image';
      test(`symlink targets of more than 1024 bytes ${title}`, async () => {
        const { repositories } = await osTree();
        const { commit } = await ours.pull(repositories.archive, CANONICAL_REF);
        if (erofsVersion === 2) {
          const refused = await runCliError(['create-image', '--repo', ours.path, commit]);
          expect(refused).toMatchObject({ exitCode: 5, error: { code: 'CFS_LIMIT', where: { field: 'target' } } });
          return;
        }
        const { image } = await ours.json<{ image: string }>('create-image', commit);
        expect(await theirs.pull(repositories.archive, CANONICAL_REF)).toMatchObject({ image });
      });

      test('both say that both are sound', async () => {
        expect(await ours.problems()).toEqual([]);
        expect(await new CfsctlRepository(ours.path).problems()).toEqual([]);
        expect(await theirs.problems()).toEqual([]);
        expect(await new Store(theirs.path).problems()).toEqual([]);
      });
    },
  );
});
