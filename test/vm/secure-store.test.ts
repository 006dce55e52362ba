/** The store on a kernel and file system with fs-verity: what a secure repository promises, call by call. */

import { join } from 'node:path';
import { expect, test } from 'vitest';
import { describeWithPeers } from '../support/peers.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { makeVerityDisk, runInVm, VM_DISK, VM_PEERS } from '../support/vm.ts';

const TREE = join(import.meta.dirname, '../..');
const TIMEOUT_MS = 300_000;
const FILES = [
  'package.json',
  'src',
  'native/build/cfs_ostree.node',
  'node_modules/@noble/hashes',
  'test/vm/secure-store-script.ts',
];

describeWithPeers('a secure store', VM_PEERS, () => {
  test('has fs-verity on every object, and takes none without', { timeout: TIMEOUT_MS }, async () => {
    await using directory = await makeTemporaryDirectory();
    const disk = directory.join('disk');
    await makeVerityDisk(disk, 64);
    const files = FILES.map((path) => ({ from: join(TREE, path), to: join('/app', path) }));
    const script = `node /app/test/vm/secure-store-script.ts ${VM_DISK}`;
    const { exitCode, output } = await runInVm({ script, files, disk, timeoutMs: TIMEOUT_MS });
    expect(exitCode, output).toBe(0);
    const expected = (algorithm: string) => ({
      init: false,
      ensure: false,
      ensureInsecure: 'CFS_CONFLICT',
      secure: true,
      stored: [true, `${algorithm} same`, false],
      wrongName: 'CFS_DIGEST_MISMATCH',
      read: 10_000,
      clean: [],
      collected: 1,
      garbage: false,
      plainRead: 'CFS_FORMAT',
      plainVerify: 'CFS_FORMAT',
      plainFindings: ['object-verity-missing'],
      repaired: [true, `${algorithm} same`],
      plainStream: 'CFS_FORMAT',
      names: ['meta.json', 'objects', 'streams'],
      lowered: false,
      withoutAddon: 'CFS_ADDON_NEEDED',
      oldFormat: [true, false],
      upgraded: [true, algorithm],
    });
    expect(JSON.parse(output)).toEqual({ sha256: expected('sha256'), sha512: expected('sha512') });
  });
});
