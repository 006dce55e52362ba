/** Collections by either program, in turn, on one repository: neither takes what the other needs. */

import { expect, test } from 'vitest';
import type { Checksum } from '../../src/formats/ids.ts';
import { CONTENT_TYPE_COMMITMETA, CONTENT_TYPE_PARTIAL, serializeSplitstream } from '../../src/formats/splitstream.ts';
import { nodeZstd } from '../../src/native.ts';
import { checkRepository } from '../../src/operations/fsck.ts';
import { collectGarbage, type GcOptions } from '../../src/operations/gc.ts';
import {
  commitmetaRefPath,
  commitmetaStreamName,
  ostreeRefPath,
  partialRefPath,
  partialStreamName,
} from '../../src/store/ostree-refs.ts';
import { publish } from '../../src/store/publish.ts';
import { openRepository } from '../../src/store/repository.ts';
import { runCfsctl } from '../support/cfsctl.ts';
import { snapshot, unpackRepository } from '../support/composefs-repositories.ts';
import { describeWithPeers } from '../support/peers.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const COMMIT = '1332c9089e55234d7937659c85c5e854542168ea2937d78fc43f4fea953dcbc3' as Checksum;
const UNFINISHED = 'ab'.repeat(32) as Checksum;

/** A partial stream and detached metadata, as a pull leaves them. */
async function addOwnStreams(path: string): Promise<void> {
  await using repo = await openRepository(path, { lock: 'shared', write: true });
  const { algorithm } = repo;
  const store = async (
    contentType: bigint,
    content: Uint8Array,
  ): Promise<Awaited<ReturnType<typeof repo.objects.store>>['id']> => {
    const objectRefs = new Uint8Array(0);
    const parts = { algorithm, contentType, streamSize: content.length, objectRefs, namedRefs: new Map(), content };
    return (await repo.objects.store(await serializeSplitstream(parts, nodeZstd))).id;
  };
  const names = { partial: partialStreamName(UNFINISHED), commitmeta: commitmetaStreamName(COMMIT) };
  await publish(repo, {
    streams: [
      { name: names.partial, id: await store(CONTENT_TYPE_PARTIAL, partialMap()) },
      { name: names.commitmeta, id: await store(CONTENT_TYPE_COMMITMETA, new Uint8Array(0)) },
    ],
    streamRefs: [
      { ref: partialRefPath(UNFINISHED), name: names.partial },
      { ref: commitmetaRefPath(COMMIT), name: names.commitmeta },
    ],
  });
}

/** A commit map with nothing in it but the id of its commit and no bytes for it. */
function partialMap(): Uint8Array {
  const map = new Uint8Array(1032 + 44);
  const view = new DataView(map.buffer);
  for (let byte = 0xab; byte < 256; byte++) view.setUint32(8 + 4 * byte, 1, true);
  map.fill(0xab, 1032, 1032 + 32);
  view.setUint32(1032 + 40, 0xffffffff, true);
  return map;
}

async function gc(path: string, options: GcOptions = {}) {
  await using repo = await openRepository(path, { lock: 'exclusive', write: true });
  return await collectGarbage(repo, options);
}

async function kindsFound(path: string): Promise<string[]> {
  await using repo = await openRepository(path, { lock: 'shared' });
  return (await checkRepository(repo)).findings.map(({ kind, subject }) => `${kind} ${subject}`);
}

describeWithPeers('cfsctl and we', ['cfsctl'], () => {
  test.each(['sha256-v1', 'sha512-v2'])('collect %s alike, and keep what the other added', async (name) => {
    await using directory = await makeTemporaryDirectory();
    const path = await unpackRepository(`repos/${name}.tar.gz`, directory.path);
    await addOwnStreams(path);
    // the commit of the made-up map does not hash to its name
    const partialFinding = [`stream-content-mismatch streams/${partialStreamName(UNFINISHED)}`];
    expect(await kindsFound(path)).toEqual(partialFinding);
    await runCfsctl(['--repo', path, 'gc']);
    expect(await gc(path)).toMatchObject({ objectsRemoved: 0, streamsRemoved: 0, imagesRemoved: 0 });
    await runCfsctl(['--repo', path, 'fsck']);
    expect(await kindsFound(path)).toEqual(partialFinding);

    await runCfsctl(['--repo', path, 'ostree', 'untag', 'nasty/x86_64/main']);
    const report = await gc(path);
    expect(report).toMatchObject({ streamsRemoved: 1, imagesRemoved: 1 });
    const before = await snapshot(path);
    const { stdout } = await runCfsctl(['--repo', path, 'gc']);
    expect(stdout).toBe('Objects: 0 removed (0 bytes)\n');
    expect(await snapshot(path)).toEqual(before);
    await runCfsctl(['--repo', path, 'fsck']);

    {
      await using repo = await openRepository(path, { lock: 'shared', write: true });
      await repo.streams.removeRef(ostreeRefPath('nasty/x86_64/other'));
    }
    expect(await gc(path)).toMatchObject({ streamsRemoved: 2, imagesRemoved: 1 });
    await runCfsctl(['--repo', path, 'fsck']);
    expect((await runCfsctl(['--repo', path, 'gc'])).stdout).toBe('Objects: 0 removed (0 bytes)\n');
  });
});
