/** One repository, two programs: cfsctl works on what we wrote, we on what it wrote, and both in turns on one. */

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { runCli, runCliError } from '../cli/run-cli.ts';
import { tryCfsctl } from '../support/cfsctl.ts';
import { runOstree } from '../support/chroot.ts';
import { type Nginx, startNginx } from '../support/nginx.ts';
import { describeWithPeers } from '../support/peers.ts';
import { runChecked } from '../support/run-command.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';
import { listTree } from '../support/tree-compare.ts';
import { readVectorFacts, vectorRepository } from '../support/vector-repositories.ts';
import {
  CFSCTL_PEERS,
  CfsctlRepository,
  type CfsctlSource,
  cfsctlSource,
  DRESSED_REF,
  LINE_REF,
} from './cfsctl-source.ts';
import { Store } from './store.ts';

const VECTOR_REF = 'nasty/x86_64/main';
const VECTOR_COMMIT = readVectorFacts().commits['main-3'].checksum;
const streamOf = (commit: string): string => `ostree-commit-${commit}`;

/** Everything that a collection may remove: objects, streams, images and refs, with what links lead to. */
async function namesIn(repository: string): Promise<string[]> {
  const names: string[] = [];
  for (const folder of ['objects', 'streams', 'images'])
    for (const [path, { kind, target }] of await listTree(join(repository, folder)))
      if (kind !== 'directory') names.push(`${folder}${path}${target === undefined ? '' : ` -> ${target}`}`);
  return names;
}

vi.setConfig({ testTimeout: 180_000 }); // many programs one after the other

describeWithPeers('one repository with cfsctl', CFSCTL_PEERS, () => {
  let directory: TemporaryDirectory;
  let source: CfsctlSource;
  let nginx: Nginx;
  beforeAll(async () => {
    directory = await makeTemporaryDirectory();
    source = await cfsctlSource();
    nginx = await startNginx({ root: source.path });
  });
  afterAll(async () => {
    await nginx[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  async function copy(repository: string, name: string): Promise<string> {
    await runChecked('cp', ['-a', repository, directory.join(name)]);
    return directory.join(name);
  }

  /** Both collect their own copy: the same must be left, and both must find it sound. */
  async function expectSameCollection(repository: string, name: string): Promise<void> {
    const [ours, theirs] = [
      new Store(await copy(repository, `${name}-1`)),
      new CfsctlRepository(await copy(repository, `${name}-2`)),
    ];
    const before = await namesIn(repository);
    const report = await ours.json<{ objectsRemoved: number; bytesRemoved: number }>('gc');
    const said = (await theirs.run('gc')).toString();
    expect(said).toContain(`Objects: ${report.objectsRemoved} removed (${report.bytesRemoved} bytes)`);
    const left = await namesIn(ours.path);
    expect(left).toEqual(await namesIn(theirs.path));
    expect(before).toEqual(expect.arrayContaining(left));
    for (const path of [ours.path, theirs.path]) {
      expect(await new CfsctlRepository(path).problems()).toEqual([]);
      expect(await new Store(path).findings()).toEqual([]);
    }
  }

  describe('that we wrote', () => {
    let ours: Store;
    let cfsctl: CfsctlRepository;
    beforeAll(async () => {
      ours = await Store.init(directory.join('ours'), { algorithm: 'sha512' });
      cfsctl = new CfsctlRepository(ours.path);
      const [first, second] = source.line;
      await ours.pull(nginx.url, first, '--name', LINE_REF, '--create-image');
      await ours.json('create-image', LINE_REF, '--erofs-version', '0', '--name', 'os/prod');
      await ours.pull(await vectorRepository('bare'), VECTOR_REF, '--create-image'); // has detached metadata
      await ours.pull(nginx.url, second); // without a ref: garbage
      await ours.json('tag', LINE_REF, 'übrig/v1.0-rc_2');

      // A pull that cannot end, for a file that the server does not give out.
      const listed = await runOstree(['ls', '-C', `--repo=${source.path}`, DRESSED_REF, '/xattrs/large']);
      const withheld = /[0-9a-f]{64}/.exec(listed.stdout)?.[0] as string;
      const location = `/objects/${withheld.slice(0, 2)}/${withheld.slice(2)}.filez`;
      const serverConfiguration = `location = ${location} { return 403; }`;
      await using unwilling = await startNginx({ root: source.path, serverConfiguration });
      expect(await runCliError(['pull', '--repo', ours.path, unwilling.url, DRESSED_REF])).toMatchObject({
        exitCode: 6,
      });
    });

    test('has everything in it that is ours alone', async () => {
      expect(existsSync(join(ours.path, 'cfs-ostree/index'))).toBe(true);
      const names = await namesIn(ours.path);
      for (const kind of ['partial', 'commitmeta'])
        expect(names.filter((name) => name.startsWith(`streams/cfs-ostree-${kind}-`))).toHaveLength(1);
      expect(await ours.findings()).toEqual([]);
    });

    test('cfsctl finds it sound', async () => {
      expect(await cfsctl.problems()).toEqual([]);
      expect((await cfsctl.run('fsck')).toString()).toContain('status: ok');
    });

    test('cfsctl lists refs and images by the same names', async () => {
      const refs = await ours.json<Array<{ ref: string; commit: string }>>('refs');
      expect(refs.map(({ ref }) => ref)).toEqual([LINE_REF, VECTOR_REF, 'übrig/v1.0-rc_2']);
      const table = await cfsctl.lines('ostree', 'images');
      const rows = table
        .map((line) => line.split(/[│┆]/).map((cell) => cell.trim()))
        .filter((cells) => cells.length === 4);
      const listed = rows
        .slice(1)
        .map(([, ref, commit]) => ({ ref, commit }))
        .sort((a, b) => (a.ref < b.ref ? -1 : 1));
      expect(listed).toEqual(refs.map(({ ref, commit }) => ({ ref, commit })));
      const images = await ours.json<Array<{ image: string; names: string[] }>>('images');
      const named = images.flatMap(({ image, names }) => names.map((name) => ({ name, digest: image })));
      expect(JSON.parse((await cfsctl.run('images', '--json')).toString())).toEqual({ images: named });
    });

    test('cfsctl shows the same commit, tree and image', async () => {
      const [first] = source.line;
      expect((await cfsctl.run('ostree', 'inspect', LINE_REF)).toString()).toMatch(new RegExp(`^commit  ${first}\n`));
      expect((await cfsctl.run('ostree', 'dump', LINE_REF)).equals(await ours.dump(LINE_REF))).toBe(true);
      const { image } = await ours.json<{ image: string }>('compute-id', LINE_REF);
      for (const name of [LINE_REF, first, first.slice(0, 12)])
        expect(await cfsctl.lines('ostree', 'compute-id', name)).toEqual([image]);
      const objects = await ours.json<string[]>('image-objects', image);
      expect((await cfsctl.lines('image-objects', image)).sort()).toEqual(objects.map((id) => `sha512:${id}`));
    });

    test('cfsctl reads our own streams as streams', async () => {
      const file = `objects/${VECTOR_COMMIT.slice(0, 2)}/${VECTOR_COMMIT.slice(2)}.commitmeta`;
      const stored = await readFile(join(await vectorRepository('bare'), file));
      expect((await cfsctl.run('cat', `cfs-ostree-commitmeta-${VECTOR_COMMIT}`)).equals(stored)).toBe(true);
      const commit = `objects/${source.dressed.slice(0, 2)}/${source.dressed.slice(2)}.commit`;
      const partial = await cfsctl.run('cat', `cfs-ostree-partial-${source.dressed}`);
      expect(partial.includes(await readFile(join(source.path, commit)))).toBe(true);
    });

    test('what cfsctl exports from it is a sound ostree repository', async () => {
      const repository = directory.join('exported');
      await runOstree(['init', `--repo=${repository}`, '--mode=bare-user']);
      await cfsctl.run('ostree', 'export', VECTOR_REF, repository, '--reference', VECTOR_REF);
      await runOstree(['fsck', '-q', '--verify-bindings', `--repo=${repository}`]);
      const { stdout } = await runOstree(['rev-parse', `--repo=${repository}`, VECTOR_REF]);
      expect(stdout.trim()).toBe(VECTOR_COMMIT);
    });

    test('both collect the same garbage', async () => {
      await expectSameCollection(ours.path, 'ours-gc');
    });

    test('nothing is lost when cfsctl collects garbage: the pull goes on, detached metadata is there', async () => {
      const store = new Store(await copy(ours.path, 'ours-collected'));
      const repository = new CfsctlRepository(store.path);
      const [refs, images] = [await store.json('refs'), await store.json('images')];
      const dump = await store.dump(VECTOR_REF);
      await repository.run('gc', '--dry-run');
      expect(existsSync(join(store.path, 'streams', streamOf(source.line[1])))).toBe(true);
      await repository.run('gc');
      expect(existsSync(join(store.path, 'streams', streamOf(source.line[1])))).toBe(false);
      expect(await store.findings()).toEqual([]);
      expect([await store.json('refs'), await store.json('images')]).toEqual([refs, images]);
      expect((await store.dump(VECTOR_REF)).equals(dump)).toBe(true);
      expect(await store.json('show', VECTOR_REF)).toMatchObject({
        detachedMetadata: { 'detached.note': 'hello detached' },
      });

      const { fetched, reused, commit } = await store.pull(nginx.url, DRESSED_REF);
      expect(commit).toBe(source.dressed);
      expect(reused.files).toBeGreaterThan(4000);
      expect(fetched.files).toBeLessThan(400);
      expect(await store.findings()).toEqual([]);
      expect(await repository.problems()).toEqual([]);
    });

    test('refs that cfsctl makes and removes are ours too', async () => {
      const store = new Store(await copy(ours.path, 'ours-tagged'));
      const repository = new CfsctlRepository(store.path);
      await repository.run('ostree', 'tag', LINE_REF, 'théirs/100%/x');
      await repository.run('ostree', 'untag', 'übrig/v1.0-rc_2');
      const refs = await store.json<Array<{ ref: string }>>('refs');
      expect(refs.map(({ ref }) => ref)).toEqual([LINE_REF, VECTOR_REF, 'théirs/100%/x']);
      expect(await store.findings()).toEqual([]);
    });
  });

  describe('that cfsctl wrote', () => {
    let theirs: CfsctlRepository;
    let store: Store;
    let lineImage: string;
    beforeAll(async () => {
      theirs = await CfsctlRepository.init(directory.join('theirs'));
      store = new Store(theirs.path);
      const [first] = source.line;
      await theirs.pull(nginx.url, first);
      await theirs.run('ostree', 'tag', first, 'line/old');
      lineImage = (await theirs.pull(nginx.url, LINE_REF, '--base-name', 'line/old')).image;
      await theirs.pull(source.path, DRESSED_REF);
      await theirs.run('ostree', 'tag', LINE_REF, 'with%per/cent');
      const image = directory.join('to-import');
      await store.image(LINE_REF, image, 1);
      const imported = await tryCfsctl(['--repo', theirs.path, 'import-image', 'os/prod'], {
        input: await readFile(image),
      });
      expect(imported.exitCode).toBe(0);
    });

    test('is sound for both', async () => {
      expect(await theirs.problems()).toEqual([]);
      expect(await store.findings()).toEqual([]);
    });

    test('has its refs, history, trees and images for us', async () => {
      const [first, , third] = source.line;
      const refs = await store.json<Array<{ ref: string; commit: string }>>('refs');
      expect(refs.map(({ ref, commit }) => [ref, commit])).toEqual([
        [DRESSED_REF, source.dressed],
        [LINE_REF, third],
        ['line/old', first],
        ['with%per/cent', third],
      ]);
      expect(await store.json('log', LINE_REF)).toMatchObject([
        { commit: third, version: '3', stored: true },
        { stored: false },
      ]);
      expect((await store.dump(LINE_REF)).equals(await theirs.run('ostree', 'dump', LINE_REF))).toBe(true);
      expect(await store.json('compute-id', LINE_REF)).toMatchObject({ image: lineImage });
      expect(await store.json('create-image', LINE_REF)).toMatchObject({ image: lineImage });
      expect(await store.json('images')).toEqual(
        expect.arrayContaining([expect.objectContaining({ image: lineImage, names: ['os/prod'], commit: third })]),
      );
      const objects = await store.json<string[]>('image-objects', 'os/prod');
      expect((await theirs.lines('image-objects', lineImage)).sort()).toEqual(objects.map((id) => `sha512:${id}`));
      expect(await store.json('diff', LINE_REF, 'os/prod')).toEqual({ added: [], removed: [], changed: [] });
    });

    test('both collect the same garbage, also after a ref is gone', async () => {
      await expectSameCollection(theirs.path, 'theirs-gc');
      const changed = new Store(await copy(theirs.path, 'theirs-untagged'));
      for (const ref of [LINE_REF, 'with%per/cent', 'os/prod']) await changed.json('untag', ref);
      await expectSameCollection(changed.path, 'theirs-untagged-gc');
      await changed.json('gc');
      const gone = await runCli(['show', '--repo', changed.path, source.line[2]]);
      expect(gone.exitCode).toBe(4);
      expect(await new CfsctlRepository(changed.path).lines('ostree', 'compute-id', 'line/old')).toHaveLength(1);
    });

    test('a commit with xattrs has our image once we make it, and cfsctl keeps to that', async () => {
      const own = new Store(await copy(theirs.path, 'theirs-dressed'));
      const repository = new CfsctlRepository(own.path);
      const [before] = await repository.lines('ostree', 'compute-id', DRESSED_REF);
      const { image } = await own.json<{ image: string }>('create-image', DRESSED_REF);
      expect(image).not.toBe(before);
      expect(await repository.lines('ostree', 'compute-id', DRESSED_REF)).toEqual([image]);
      await repository.run('gc');
      expect(existsSync(join(own.path, 'images', before))).toBe(false);
      expect(await own.findings()).toEqual([]);
      expect(await repository.problems()).toEqual([]);
    });

    test('a promise in the commit that nobody checked is checked when it is asked for', async () => {
      const ref = 'wrong/digest';
      const args = ['commit', `--repo=${directory.join('wrong')}`, `--branch=${ref}`, `--tree=ref=${LINE_REF}`];
      await runOstree(['init', `--repo=${directory.join('wrong')}`, '--mode=archive']);
      await runOstree(['pull-local', `--repo=${directory.join('wrong')}`, source.path, LINE_REF]);
      const zeros = `[${Array(32).fill('byte 0x00').join(', ')}]`;
      await runOstree([...args, `--add-metadata=ostree.composefs.digest.v0=${zeros}`]);
      const own = new Store(await copy(theirs.path, 'theirs-wrong'));
      await new CfsctlRepository(own.path).pull(directory.join('wrong'), ref);
      const refused = await runCliError(['create-image', '--repo', own.path, ref, '--require-digest']);
      expect(refused).toMatchObject({ exitCode: 7, error: { code: 'CFS_UNTRUSTED' } });
    });
  });

  describe('that both write', () => {
    test.each(['sha256', 'sha512'] as const)(
      '%s: we pull, cfsctl pulls on top, we pull on top of that',
      async (algorithm) => {
        const [first, second, third] = source.line;
        const ours = await Store.init(directory.join(`mixed-${algorithm}`), { algorithm });
        const cfsctl = new CfsctlRepository(ours.path);
        const soundForBoth = async () => expect([await ours.findings(), await cfsctl.problems()]).toEqual([[], []]);
        const images: (string | undefined)[] = [
          (await ours.pull(nginx.url, first, '--name', LINE_REF, '--create-image')).image,
        ];
        await soundForBoth();

        const before = (await nginx.requests()).length;
        images.push((await cfsctl.pull(nginx.url, second, '--base-name', LINE_REF)).image);
        const files = (await nginx.requests()).slice(before).filter(({ path }) => path.endsWith('.filez'));
        expect(files).toHaveLength(1); // the base that we wrote gave it everything else
        await cfsctl.run('ostree', 'tag', second, LINE_REF);
        await soundForBoth();

        const pulled = await ours.pull(nginx.url, LINE_REF, '--create-image');
        images.push(pulled.image);
        expect(pulled).toMatchObject({ commit: third, base: [second], fetched: { files: 1 } });
        await soundForBoth();

        const fresh = await Store.init(directory.join(`mixed-fresh-${algorithm}`), { algorithm });
        for (const [index, commit] of source.line.entries())
          expect(await fresh.pull(source.path, commit, '--create-image')).toMatchObject({ image: images[index] });
        await expectSameCollection(ours.path, `mixed-${algorithm}-gc`);
      },
    );

    test('cfsctl and we pull the same commit: whoever comes second finds it there', async () => {
      const ours = await Store.init(directory.join('twice'), { algorithm: 'sha512' });
      const cfsctl = new CfsctlRepository(ours.path);
      const { commit } = await ours.pull(nginx.url, LINE_REF, '--create-image');
      const names = await namesIn(ours.path);
      await cfsctl.pull(nginx.url, LINE_REF);
      expect(await namesIn(ours.path)).toEqual(names);
      await cfsctl.pull(source.path, DRESSED_REF);
      // The ref is set although the commit is there, and so is what comes beside it.
      expect(await ours.pull(source.path, DRESSED_REF, '--name', 'again')).toMatchObject({ upToDate: true });
      const refs = await ours.json<Array<{ ref: string; commit: string }>>('refs');
      expect(refs.map(({ ref }) => ref)).toEqual(['again', DRESSED_REF, LINE_REF]);
      expect(await ours.json('show', commit)).toMatchObject({ commit });
    });

    test('a commit that cfsctl made of an image is one that we can use', async () => {
      const ours = await Store.init(directory.join('committed'), { algorithm: 'sha256' });
      const cfsctl = new CfsctlRepository(ours.path);
      await ours.pull(nginx.url, LINE_REF);
      await ours.json('create-image', LINE_REF, '--name', 'base');
      const { image } = await ours.json<{ image: string }>('compute-id', LINE_REF);
      await cfsctl.run('ostree', 'commit', image, '--reference', 'made/by-cfsctl', '--subject', 'From an image');
      expect(await ours.json('show', 'made/by-cfsctl')).toMatchObject({ subject: 'From an image' });
      expect(await ours.json('compute-id', 'made/by-cfsctl')).toMatchObject({ image });
      expect(await ours.findings()).toEqual([]);
      const repository = directory.join('committed-exported');
      await ours.export(repository, ['made/by-cfsctl']);
      await runOstree(['fsck', '-q', '--verify-bindings', `--repo=${repository}`]);
    });
  });
});
