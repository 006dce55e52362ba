/** A file of 1 GiB: pulled over HTTP and from disk, in an image, mounted, and given back to ostree. */

import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { cliEnvironment, PROGRAM, runCli } from '../cli/run-cli.ts';
import { runMkcomposefs, runOstree } from '../support/chroot.ts';
import { runMeasured } from '../support/measured-run.ts';
import { startNginx } from '../support/nginx.ts';
import { AWKWARD_REF, CANONICAL_REF, largeOsTree } from '../support/os-tree.ts';
import { describeWithPeers } from '../support/peers.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { asCommitted, compareTrees } from '../support/tree-compare.ts';
import { AWKWARD_STORE_PEERS } from './awkward-store.ts';
import { Store } from './store.ts';

const LARGE_BYTES = 2 ** 30;
const MAX_PEAK_BYTES = 200 * 2 ** 20;

describeWithPeers('a file of 1 GiB', [...AWKWARD_STORE_PEERS, 'mkcomposefs'], () => {
  test('all the way', async () => {
    const { repositories, awkward, canonical } = await largeOsTree();
    await using directory = await makeTemporaryDirectory();
    const store = await Store.init(directory.join('store'));
    await using nginx = await startNginx({ root: repositories.archive });
    await pullInLittleMemory(store, nginx.url);
    const { image } = await store.json<{ image: string }>('create-image', awkward);
    const { stdout: large } = await runCli(['ls', '--json', '--repo', store.path, AWKWARD_REF, '/large']);
    expect(JSON.parse(large)).toMatchObject([{ path: '/large', sizeBytes: LARGE_BYTES }]);

    await writeFile(directory.join('dump'), await store.dump(AWKWARD_REF));
    await runMkcomposefs([
      '--from-file',
      '--min-version=1',
      '--max-version=1',
      directory.join('dump'),
      directory.join('theirs'),
    ]);
    await store.image(AWKWARD_REF, directory.join('ours'), 1);
    expect((await readFile(directory.join('ours'))).equals(await readFile(directory.join('theirs')))).toBe(true);

    // Its content is there once already; only its header is new.
    expect(await store.pull(nginx.url, CANONICAL_REF)).toMatchObject({ commit: canonical, bytesWritten: 0 });
    expect(await store.problems()).toEqual([]);

    const exported = directory.join('exported');
    await store.export(exported, [AWKWARD_REF], '--mode', 'bare');
    await runOstree(['fsck', '-q', '--all', `--repo=${exported}`]);
    await runOstree(['checkout', '-H', `--repo=${exported}`, AWKWARD_REF, directory.join('checkout')]);
    await mkdir(directory.join('mounted'));
    await store.json('mount', AWKWARD_REF, directory.join('mounted'));
    try {
      expect((await stat(directory.join('mounted/large'))).size).toBe(LARGE_BYTES);
      expect(await compareTrees(directory.join('checkout'), directory.join('mounted'), asCommitted)).toEqual([]);
    } finally {
      await store.json('umount', directory.join('mounted'));
    }

    const copied = await Store.init(directory.join('copied'));
    await pullInLittleMemory(copied, repositories['bare-user']);
    expect(await copied.json('create-image', awkward)).toMatchObject({ image });
    const linked = await Store.init(directory.join('linked'));
    await linked.pull(exported, AWKWARD_REF, '--link=hard');
    expect(await linked.json('create-image', awkward)).toMatchObject({ image });
  }, 300_000);
});

async function pullInLittleMemory(store: Store, source: string): Promise<void> {
  const args = [PROGRAM, 'pull', '--quiet', '--repo', store.path, source, AWKWARD_REF];
  const options = { env: cliEnvironment(), maxCpuSeconds: 100 };
  const { exitCode, peakBytes, stderr } = await runMeasured(process.execPath, args, options);
  expect([exitCode, stderr]).toEqual([0, '']);
  expect(peakBytes).toBeLessThan(MAX_PEAK_BYTES);
}
