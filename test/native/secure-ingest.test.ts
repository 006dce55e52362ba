/** Ingest into a secure store, on a kernel and file system with fs-verity. */

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
  'node_modules/fflate',
  'test/native/archive-object.ts',
  'test/native/ingest-rows.ts',
  'test/native/secure-ingest-script.ts',
];

describeWithPeers('ingest into a secure store', VM_PEERS, () => {
  test('seals every object, and believes only what the kernel measures', { timeout: TIMEOUT_MS }, async () => {
    await using directory = await makeTemporaryDirectory();
    const disk = directory.join('disk');
    await makeVerityDisk(disk, 64);
    const files = FILES.map((path) => ({ from: join(TREE, path), to: join('/app', path) }));
    const script = `node /app/test/native/secure-ingest-script.ts ${VM_DISK}`;
    const { exitCode, output } = await runInVm({ script, files, disk, timeoutMs: TIMEOUT_MS });
    expect(exitCode, output).toBe(0);
    const expected = (algorithm: string) => ({
      archive: 'new new inline',
      measured: [`${algorithm} same`, `${algorithm} same`],
      again: 'present present',
      readOnly: 'EPERM',
      hashed: [1, 1],
      wrong: 'checksumDiffers',
      insecure: 'present present',
      plain: ['present present', 'new new', `${algorithm} same`],
      swapped: [
        ['new', `${algorithm} same`],
        ['new', 'none'],
      ],
      otherAlgorithm: ['new', `${algorithm} same`],
      named: 'new new',
      namedMeasured: [`${algorithm} same`, `${algorithm} same`],
      stream: ['new', `${algorithm} same`],
      local: [
        ['new written', 'new written'],
        [`${algorithm} same`, `${algorithm} same`],
      ],
      sources: [1, 1],
      sealed: [
        ['new hardLinked', 'new hardLinked'],
        [`${algorithm} same`, `${algorithm} same`],
      ],
      sealedSources: [
        [2, 'EPERM'],
        [2, 'EPERM'],
      ],
      leftOver: [],
    });
    expect(JSON.parse(output)).toEqual({
      sha256: expected('sha256'),
      sha512: expected('sha512'),
      busy: [null, 'ETXTBSY', 'on', 'EEXIST', 32],
    });
  });
});
