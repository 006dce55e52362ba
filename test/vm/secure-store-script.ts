/** Runs inside the virtual machine (secure-store.test.ts), on a file system with fs-verity. Prints what it found as JSON. */

import { link, readdir, rm, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CfsError } from '../../src/errors.ts';
import { type Algorithm, type ObjectId, toHex } from '../../src/formats/ids.ts';
import { serializeSplitstream } from '../../src/formats/splitstream.ts';
import { nodeZstd } from '../../src/native.ts';
import { checkRepository } from '../../src/operations/fsck.ts';
import { collectGarbage } from '../../src/operations/gc.ts';
import { initRepository } from '../../src/store/init.ts';
import { publish } from '../../src/store/publish.ts';
import { openRepository, type Repository } from '../../src/store/repository.ts';
import { measureVerity } from '../../src/store/verity.ts';

const CONTENT = Buffer.alloc(10_000, 'an object of a secure repository\n');
const anySize = { maxBytes: 1 << 20 };

/** What happened: a value, or the code of one of our errors. */
async function outcome(attempt: () => Promise<unknown>): Promise<unknown> {
  try {
    return await attempt();
  } catch (error) {
    if (error instanceof CfsError) return error.code;
    throw error;
  }
}

async function measured(repo: Repository, id: ObjectId): Promise<unknown> {
  const { handle } = await repo.objects.openUnverified(id);
  const state = measureVerity(handle.fd);
  await handle.close();
  return typeof state === 'string' ? state : `${state.algorithm} ${toHex(state.digest) === id ? 'same' : 'other'}`;
}

async function storeStream(repo: Repository, object: ObjectId): Promise<ObjectId> {
  const { algorithm } = repo;
  const objectRefs = Buffer.from(object, 'hex');
  const content = Buffer.from('inline');
  const parts = { algorithm, contentType: 0n, streamSize: 6, objectRefs, namedRefs: new Map(), content };
  return (await repo.objects.store(await serializeSplitstream(parts, nodeZstd))).id;
}

/** Without fs-verity, under the name of an object. */
async function replaceByPlainFile(repo: Repository, id: ObjectId, content: Uint8Array): Promise<void> {
  await unlink(repo.objects.path(id));
  await writeFile(repo.objects.path(id), content);
}

const kindsOf = async (repo: Repository): Promise<string[]> =>
  (await checkRepository(repo)).findings.map(({ kind }) => kind).sort();

async function inSecureRepository(path: string, algorithm: Algorithm): Promise<Record<string, unknown>> {
  const found: Record<string, unknown> = {};
  found.init = (await initRepository(path, { algorithm })).insecure;
  found.ensure = (await initRepository(path, { algorithm, ensure: true })).created;
  found.ensureInsecure = await outcome(() => initRepository(path, { algorithm, insecure: true, ensure: true }));
  await using repo = await openRepository(path, { lock: 'exclusive', write: true });
  found.secure = repo.secure;
  const { id, isNew } = await repo.objects.store(CONTENT);
  found.stored = [isNew, await measured(repo, id), (await repo.objects.store(CONTENT)).isNew];
  await using temporary = await repo.objects.createTemporary();
  await temporary.write(CONTENT.subarray(0, 4097));
  found.wrongName = await outcome(() => temporary.publish(id));
  found.read = (await repo.objects.read(id, anySize)).length;
  const stream = await storeStream(repo, id);
  await publish(repo, { streams: [{ name: 's', id: stream }], streamRefs: [{ ref: 'r', name: 's' }] });
  found.clean = await kindsOf(repo);
  const garbage = await repo.objects.store(Buffer.from('garbage'));
  found.collected = (await collectGarbage(repo)).objectsRemoved;
  found.garbage = await repo.objects.has(garbage.id);
  await replaceByPlainFile(repo, id, CONTENT);
  found.plainRead = await outcome(() => repo.objects.read(id, anySize));
  found.plainVerify = await outcome(() => repo.objects.verify(id));
  found.plainFindings = await kindsOf(repo);
  found.repaired = [(await repo.objects.store(CONTENT)).isNew, await measured(repo, id)];
  await replaceByPlainFile(repo, stream, await repo.objects.read(id, anySize));
  found.plainStream = await outcome(() => collectGarbage(repo));
  await storeStream(repo, id); // the first object tells what an old repository is
  found.names = (await readdir(path)).sort();
  return found;
}

async function withSettingsChanged(path: string, algorithm: Algorithm): Promise<Record<string, unknown>> {
  const found: Record<string, unknown> = {};
  {
    await using repo = await openRepository(path, { lock: 'shared', insecure: true });
    found.lowered = repo.secure;
  }
  process.env.CFS_OSTREE_NO_ADDON = '1';
  const { spawnSync } = await import('node:child_process');
  const script = `import(${JSON.stringify(join(import.meta.dirname, '../../src/store/repository.ts'))})
    .then((store) => store.openRepository(${JSON.stringify(path)}, { lock: 'shared' }))
    .catch((error) => console.log(error.code))`;
  found.withoutAddon = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' }).stdout.trim();
  delete process.env.CFS_OSTREE_NO_ADDON;
  const other = `${path}-other`;
  await initRepository(other, { algorithm: algorithm === 'sha256' ? 'sha512' : 'sha256' });
  await unlink(join(other, 'meta.json'));
  await link(join(path, 'meta.json'), join(other, 'meta.json')); // a copy would not have fs-verity
  await rm(join(path, 'meta.json'));
  {
    await using old = await openRepository(path, { lock: 'shared' });
    found.oldFormat = [old.secure, (await readdir(path)).includes('meta.json')];
    await old.requireWritable();
  }
  await using upgraded = await openRepository(path, { lock: 'shared' });
  found.upgraded = [upgraded.secure, upgraded.algorithm];
  return found;
}

const results: Record<string, unknown> = {};
for (const algorithm of ['sha256', 'sha512'] as const) {
  const path = join(process.argv[2], algorithm);
  results[algorithm] = {
    ...(await inSecureRepository(path, algorithm)),
    ...(await withSettingsChanged(path, algorithm)),
  };
}
console.log(JSON.stringify(results));
