/** What `cfs-ostree export` writes is an ostree repository like ostree's own. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { runCli, runCliError } from '../cli/run-cli.ts';
import { runInChroot, runOstree } from '../support/chroot.ts';
import { startNginx } from '../support/nginx.ts';
import { AWKWARD_REF, CANONICAL_REF, osTree } from '../support/os-tree.ts';
import { describeWithPeers } from '../support/peers.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';
import { listTree, type TreeEntry } from '../support/tree-compare.ts';
import { readVectorFacts, vectorRepository } from '../support/vector-repositories.ts';
import { AWKWARD_STORE_PEERS, awkwardStore } from './awkward-store.ts';
import { Store } from './store.ts';

const MODES = ['archive', 'bare', 'bare-user', 'bare-user-only'] as const;
type Mode = (typeof MODES)[number];
const refsIn = (mode: Mode): string[] => (mode === 'bare-user-only' ? [CANONICAL_REF] : [AWKWARD_REF, CANONICAL_REF]);

vi.setConfig({ testTimeout: 180_000 }); // many programs one after the other

describeWithPeers('export', AWKWARD_STORE_PEERS, () => {
  let directory: TemporaryDirectory;
  let store: Store;
  beforeAll(async () => {
    directory = await makeTemporaryDirectory();
    store = new Store((await awkwardStore()).path);
  });
  afterAll(() => directory[Symbol.asyncDispose]());

  async function makeRepository(name: string, mode: Mode): Promise<string> {
    const path = directory.join(name);
    await runOstree(['init', `--repo=${path}`, `--mode=${mode}`]);
    await runOstree(['config', `--repo=${path}`, 'set', 'core.fsync', 'false']);
    return path;
  }

  /** Rejects when anything is wrong. */
  const fsck = (repository: string) => runOstree(['fsck', '-q', '--all', '--verify-bindings', `--repo=${repository}`]);

  async function resolve(repository: string, ref: string): Promise<string> {
    return (await runOstree(['rev-parse', `--repo=${repository}`, ref])).stdout.trim();
  }

  /** Everything about the loose objects but the time of metadata and what a compressor is free to choose. */
  async function objectsOf(repository: string): Promise<Map<string, Partial<TreeEntry>>> {
    const objects = await listTree(join(repository, 'objects'));
    return new Map(
      [...objects].map(([path, { mtimeNanoseconds, sha256, sizeBytes, ...rest }]) => [
        path,
        {
          ...rest,
          ...(path.endsWith('.file') && { mtimeNanoseconds }),
          ...(!path.endsWith('.filez') && { sha256, sizeBytes }),
        },
      ]),
    );
  }

  test.each(MODES)('%s: sound, and object for object what ostree writes', async (mode) => {
    const [ours, theirs] = [directory.join(`${mode}-ours`), await makeRepository(`${mode}-theirs`, mode)];
    const { awkward, canonical } = await awkwardStore();
    await store.export(ours, refsIn(mode), '--mode', mode);
    await fsck(ours);
    if (mode !== 'bare-user-only') expect(await resolve(ours, AWKWARD_REF)).toBe(awkward.commit);
    expect(await resolve(ours, CANONICAL_REF)).toBe(canonical.commit);
    await runOstree(['pull-local', `--repo=${theirs}`, ours, ...refsIn(mode)]);
    await fsck(theirs);
    for (const ref of refsIn(mode)) expect(await resolve(theirs, ref)).toBe(await resolve(ours, ref));
    expect(await objectsOf(ours)).toEqual(await objectsOf(theirs));
    expect((await readFile(join(ours, 'config'), 'utf8')).split('\n').slice(0, 3)).toEqual(
      (await readFile(join(theirs, 'config'), 'utf8')).split('\n').slice(0, 3),
    );
  });

  test('ostree pulls it over HTTP, into another mode', async () => {
    const { awkward } = await awkwardStore();
    const [ours, theirs] = [directory.join('served'), await makeRepository('client', 'bare')];
    await store.export(ours, [AWKWARD_REF]);
    await using nginx = await startNginx({ root: ours });
    await runOstree(['remote', 'add', `--repo=${theirs}`, '--no-gpg-verify', 'origin', nginx.url]);
    await runOstree(['pull', `--repo=${theirs}`, 'origin', AWKWARD_REF]);
    await fsck(theirs);
    expect(await resolve(theirs, `origin:${AWKWARD_REF}`)).toBe(awkward.commit);
    const { repositories } = await osTree();
    const diff = await runOstree(['diff', `--repo=${theirs}`, `origin:${AWKWARD_REF}`, awkward.commit]);
    expect([repositories.bare, diff.stdout]).toEqual([repositories.bare, '']);
  });

  test.each(['archive', 'bare', 'bare-user'] as const)(
    '%s: adds what is missing to a repository of ostree',
    async (mode) => {
      const { repositories, first } = await osTree();
      const { awkward } = await awkwardStore();
      const path = await makeRepository(`${mode}-added`, mode);
      await runOstree(['pull-local', `--repo=${path}`, repositories.bare, first]);
      await runOstree(['refs', `--repo=${path}`, `--create=${AWKWARD_REF}`, first]);
      const report = await store.export(path, [AWKWARD_REF]); // the mode is the repository's own
      expect(report.written).toBeLessThan(20);
      expect(report.present).toBeGreaterThan(4000);
      await fsck(path);
      const log = await runOstree(['log', `--repo=${path}`, AWKWARD_REF]);
      expect(log.stdout.match(/^commit (.*)$/gm)).toEqual([`commit ${awkward.commit}`, `commit ${first}`]);
      expect(await store.export(path, [AWKWARD_REF])).toMatchObject({ written: 0, bytesWritten: 0 });
    },
  );

  test('what bare-user-only cannot hold is refused, and its repository stays sound', async () => {
    const path = await makeRepository('refused', 'bare-user-only');
    const refused = await runCliError(['export', '--repo', store.path, AWKWARD_REF, path]);
    expect(refused).toMatchObject({
      exitCode: 5,
      error: { where: { object: expect.stringMatching(/^[0-9a-f]{64}\.file$/) } },
    });
    await fsck(path);
    expect((await runOstree(['refs', `--repo=${path}`])).stdout).toBe('');
  });

  test('detached metadata comes along, and ostree hands it on', async () => {
    const { commits } = readVectorFacts();
    const { checksum } = commits['main-3'];
    const vectors = await Store.init(directory.join('vectors'), { algorithm: 'sha512' });
    await vectors.pull(await vectorRepository('bare'), 'nasty/x86_64/main');
    for (const mode of ['archive', 'bare', 'bare-user'] as const) {
      const ours = directory.join(`detached-${mode}`);
      await vectors.export(ours, ['nasty/x86_64/main'], '--mode', mode);
      await fsck(ours);
      const theirs = await makeRepository(`detached-${mode}-theirs`, 'archive');
      await runOstree(['pull-local', `--repo=${theirs}`, ours, 'nasty/x86_64/main']);
      for (const repository of [ours, theirs]) {
        const note = ['show', `--repo=${repository}`, '--print-detached-metadata-key=detached.note', checksum];
        expect((await runOstree(note)).stdout).toBe("'hello detached'\n");
      }
    }
  });

  test('a commit of our own, made with ref binding, is one that ostree accepts as bound', async () => {
    const own = await Store.init(directory.join('own'));
    await own.commit(
      (await osTree()).tree,
      '--branch',
      'own/branch',
      '--no-xattrs',
      '--add-metadata-string',
      'version=1',
    );
    const path = directory.join('own-exported');
    await own.export(path, ['own/branch']);
    await fsck(path);
    await runOstree(['fsck', '-q', '--verify-back-refs', `--repo=${path}`]);
    const version = ['show', `--repo=${path}`, '--print-metadata-key=version', 'own/branch'];
    expect((await runOstree(version)).stdout).toBe("'1'\n");
    await runOstree(['refs', `--repo=${path}`, '--create=other', 'own/branch']);
    const unbound = await runInChroot('ostree', ['fsck', '-q', '--verify-bindings', `--repo=${path}`]);
    expect(unbound.exitCode).toBe(1); // so the checks above did look
  });

  test('says that a summary is out of date', async () => {
    const path = await makeRepository('with-summary', 'archive');
    await runOstree(['summary', '-u', `--repo=${path}`]);
    const { exitCode, stderr } = await runCli(['export', '--repo', store.path, CANONICAL_REF, path]);
    expect(exitCode).toBe(0);
    expect(stderr).toContain('ostree summary -u');
    await runOstree(['summary', '-u', `--repo=${path}`]);
    expect((await runOstree(['summary', '-v', `--repo=${path}`])).stdout).toContain(CANONICAL_REF);
  });
});
