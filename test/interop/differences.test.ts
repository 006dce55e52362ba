/** Where we do something else than a peer on purpose, and no other test here says so: doc/differences.md. */

import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { runCliError } from '../cli/run-cli.ts';
import { runInChroot, runOstree } from '../support/chroot.ts';
import { describeWithPeers } from '../support/peers.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';
import { CFSCTL_PEERS, CfsctlRepository, cfsctlSource, DRESSED_REF, LINE_REF } from './cfsctl-source.ts';
import { Store } from './store.ts';

vi.setConfig({ testTimeout: 180_000 }); // many programs one after the other

describeWithPeers('on purpose not', CFSCTL_PEERS, () => {
  let directory: TemporaryDirectory;
  let tree: string;
  beforeAll(async () => {
    directory = await makeTemporaryDirectory();
    await cfsctlSource();
    tree = directory.join('tree');
    await mkdir(tree);
    await writeFile(join(tree, 'file'), 'content\n');
  });
  afterAll(() => directory[Symbol.asyncDispose]());

  const commitArguments = (repository: string, ...options: string[]): string[] => [
    ...['commit', `--repo=${repository}`, '--branch=b', `--tree=dir=${tree}`, '--timestamp=@1', '--parent=none'],
    ...options,
  ];

  async function archive(name: string): Promise<string> {
    await runOstree(['init', `--repo=${directory.join(name)}`, '--mode=archive']);
    return directory.join(name);
  }

  test('as ostree: a timestamp that is only a number is seconds since 1970, and owners go up to 4294967294', async () => {
    const repository = await archive('timestamp');
    const store = await Store.init(directory.join('timestamp-store'));
    const theirs = (await runOstree(commitArguments(repository))).stdout.trim();
    expect(await store.commit(tree, '--branch=b', '--timestamp=1')).toMatchObject({ commit: theirs });

    const owner = '--owner-uid=4294967294';
    expect((await runInChroot('ostree', commitArguments(repository, owner))).exitCode).toBe(1);
    await store.commit(tree, '--branch=owned', owner);
    expect(await store.json('ls', 'owned', '/file')).toMatchObject([{ uid: 4294967294 }]);
  });

  test('as ostree: a digest for trees with symlink targets that need a block', async () => {
    const own = directory.join('long-target');
    await mkdir(own);
    await symlink('t'.repeat(4095), join(own, 'link'));
    const store = await Store.init(directory.join('long-target-store'));
    await store.commit(own, '--branch=b', '--generate-composefs-metadata');
    const repository = directory.join('long-target-exported');
    await store.export(repository, ['b']);
    const other = await Store.init(directory.join('long-target-pulled'), { algorithm: 'sha512' });
    expect(await other.pull(repository, 'b')).toMatchObject({ digest: 'match' });
  });

  test('as ostree: a local source is believed no more than a server', async () => {
    const repository = await archive('believed');
    const commit = (await runOstree(commitArguments(repository))).stdout.trim();
    const store = await Store.init(directory.join('believed-store'));
    const listed = await runOstree(['ls', '-C', `--repo=${repository}`, commit, '/file']);
    const file = /[0-9a-f]{64}/.exec(listed.stdout)?.[0] as string;
    const path = join(repository, 'objects', file.slice(0, 2), `${file.slice(2)}.filez`);
    const bytes = await readFile(path);
    bytes[19] ^= 1; // in the owner
    await writeFile(path, bytes);
    expect(await runCliError(['pull', '--repo', store.path, repository, 'b'])).toMatchObject({ exitCode: 5 });
    await runOstree(['pull-local', `--repo=${await archive('trusting')}`, repository, 'b']);
  });

  test('as cfsctl: a stored commit gets the ref that it was pulled by, and the id that is told is that of its stream', async () => {
    const { path, dressed } = await cfsctlSource();
    const [ours, theirs] = [
      await Store.init(directory.join('refs-ours')),
      await CfsctlRepository.init(directory.join('refs-theirs')),
    ];
    await theirs.pull(path, dressed);
    await theirs.pull(path, DRESSED_REF);
    expect((await theirs.run('ostree', 'images')).toString()).toContain('No ostree commits found');

    await ours.pull(path, dressed);
    const { streamId } = await ours.pull(path, DRESSED_REF, '--create-image');
    expect(await ours.json('refs')).toMatchObject([{ ref: DRESSED_REF, commit: dressed }]);
    expect(await ours.json('show', DRESSED_REF)).toMatchObject({ streamId });
  });

  test('as cfsctl: an image of another version stays as long as its commit', async () => {
    const { path } = await cfsctlSource();
    const ours = await Store.init(directory.join('versions'), { erofsVersion: 1 });
    const cfsctl = new CfsctlRepository(ours.path);
    const { commit, image } = await ours.pull(path, LINE_REF, '--create-image');
    const other = await ours.json<{ image: string }>('create-image', LINE_REF, '--erofs-version', '2');
    expect(other.image).not.toBe(image);
    for (const collect of [() => cfsctl.run('gc'), () => ours.json('gc')]) {
      await collect();
      const images = await ours.json<Array<{ image: string }>>('images');
      expect(images.map((entry) => entry.image).sort()).toEqual([image, other.image].sort());
      expect(await ours.json('show', commit)).toMatchObject({ images: expect.arrayContaining([image, other.image]) });
    }
    expect(await cfsctl.lines('ostree', 'compute-id', LINE_REF)).toEqual([image]);
    expect([await ours.findings(), await cfsctl.problems()]).toEqual([[], []]);
  });

  test('as cfsctl: names of refs are those that ostree allows; others are read and can be removed', async () => {
    const { path } = await cfsctlSource();
    const cfsctl = await CfsctlRepository.init(directory.join('names'));
    const ours = new Store(cfsctl.path);
    await cfsctl.pull(path, LINE_REF);
    await cfsctl.run('ostree', 'tag', LINE_REF, 'one 100% name');
    expect(await ours.json('show', 'one 100% name')).toMatchObject({ commit: (await cfsctlSource()).line[2] });
    const refused = await runCliError(['tag', '--repo', ours.path, LINE_REF, 'another 100% name']);
    expect(refused.exitCode).toBe(2);
    await ours.json('untag', 'one 100% name');
    expect(await ours.json('refs')).toMatchObject([{ ref: LINE_REF }]);
  });
});
