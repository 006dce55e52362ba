/** Runs inside the virtual machine (secure-ingest.test.ts), on a file system with fs-verity. Prints what it found as JSON. */

import { closeSync, openSync, writeSync } from 'node:fs';
import { link, mkdir, readdir, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Algorithm, toHex } from '../../src/formats/ids.ts';
import type { Ingest, IngestBatch, LocalOptions } from '../../src/native.ts';
import { concat, type FileObject, makeContent, makeObject, objectPathOf } from './archive-object.ts';
import { addon, rowsOf } from './ingest-rows.ts';

const [, , disk] = process.argv;
const small = makeObject(makeContent(5000));
const large = makeObject(makeContent(300_000));
const inline = makeObject(makeContent(20));

async function checkAlgorithm(algorithm: Algorithm): Promise<unknown> {
  const directory = join(disk, algorithm);
  const objects = join(directory, 'objects');
  await mkdir(objects, { recursive: true });
  const engines: Ingest[] = [];
  const open = (secure: boolean, namedTemporaries = false): Ingest => {
    const engine = new addon.Ingest({ objectsPath: objects, algorithm, secure, namedTemporaries, threads: 2 });
    engines.push(engine);
    return engine;
  };
  const engine = open(true);
  const statuses = (batch: IngestBatch): string =>
    rowsOf(batch, algorithm)
      .map(({ status }) => status)
      .join(' ');
  const archive = async (into: Ingest, ...all: FileObject[]): Promise<string> =>
    statuses(
      await into.archive(
        all.map(({ body }) => body),
        concat(...all.map(({ checksum }) => checksum)),
      ),
    );
  const pathOf = ({ content }: FileObject): string => join(objects, objectPathOf(algorithm, content));
  const measured = (object: FileObject): string => {
    const fd = openSync(pathOf(object), 'r');
    const verity = addon.measureVerity(fd);
    closeSync(fd);
    const right = toHex(addon.fsVerity(algorithm, object.content));
    return verity === null ? 'none' : `${verity.algorithm} ${toHex(verity.digest) === right ? 'same' : 'other'}`;
  };
  const result: Record<string, unknown> = {};

  result.archive = await archive(engine, small, large, inline);
  result.measured = [small, large].map(measured);
  result.again = await archive(engine, small, large);
  result.readOnly = await writeFile(pathOf(small), 'x').catch((error: NodeJS.ErrnoException) => error.code);
  result.hashed = Array.from((await addon.hashFiles([pathOf(small), pathOf(large)], { algorithm })).measured);

  // wrong content never gets that far
  result.wrong = await archive(engine, { ...small, checksum: large.checksum });

  // an insecure opening of the same store trusts what the kernel measures
  result.insecure = await archive(open(false), small, large);

  // the same bytes without fs-verity are enough for the insecure opening, and replaced by the secure one
  for (const object of [small, large]) {
    await unlink(pathOf(object));
    await writeFile(pathOf(object), object.content);
  }
  result.plain = [await archive(open(false), small, large), await archive(engine, small, large), measured(small)];

  // another file with fs-verity under the name, of the same size: the kernel's word counts, for both
  const other = makeObject(makeContent(5000, 2));
  await archive(engine, other);
  result.swapped = [];
  for (const one of [engine, open(false)]) {
    await unlink(pathOf(small));
    await link(pathOf(other), pathOf(small));
    (result.swapped as unknown[]).push([await archive(one, small), measured(small)]);
  }

  // the other algorithm under the name
  await unlink(pathOf(small));
  await writeFile(pathOf(small), small.content);
  const fd = openSync(pathOf(small), 'r');
  addon.enableVerity(fd, algorithm === 'sha256' ? 'sha512' : 'sha256');
  closeSync(fd);
  result.otherAlgorithm = [await archive(engine, small), measured(small)];
  await Promise.all([small, large].map((object) => unlink(pathOf(object))));

  result.named = await archive(open(true, true), small, large);
  result.namedMeasured = [small, large].map(measured);
  await Promise.all([small, large].map((object) => unlink(pathOf(object))));

  const stream = engine.stream(large.checksum);
  for (let at = 0; at < large.body.length; at += 50_000) await stream.write(large.body.subarray(at, at + 50_000));
  result.stream = [statuses(await stream.end()), measured(large)];
  await unlink(pathOf(large));

  // a local source stays as it is: never hard-linked, never sealed
  const sources = [small, large].map((_, i) => join(directory, `source-${i}`));
  await Promise.all(sources.map((path, i) => writeFile(path, [small, large][i].content, { mode: 0o644 })));
  const options: LocalOptions = { mode: 'bare', link: 'hard' };
  const local = await engine.local(sources, concat(small.checksum, large.checksum), options);
  result.local = [rowsOf(local, algorithm).map(({ status, how }) => `${status} ${how}`), [small, large].map(measured)];
  result.sources = await Promise.all(
    sources.map(async (path) => {
      await writeFile(path, 'still writable');
      return (await stat(path)).nlink;
    }),
  );

  // unless it is said so: then the source is the object, sealed, unless it cannot be
  await Promise.all([small, large].map((object) => unlink(pathOf(object))));
  await Promise.all(sources.map((path, i) => writeFile(path, [small, large][i].content)));
  const sealed = await engine.local(sources, concat(small.checksum, large.checksum), {
    mode: 'bare',
    link: 'hard-sealed',
  });
  result.sealed = [
    rowsOf(sealed, algorithm).map(({ status, how }) => `${status} ${how}`),
    [small, large].map(measured),
  ];
  result.sealedSources = await Promise.all(
    sources.map(async (path) => {
      const failed = await writeFile(path, 'x').catch((error: NodeJS.ErrnoException) => error.code);
      return [(await stat(path)).nlink, failed];
    }),
  );

  result.leftOver = (await readdir(objects)).filter((name) => name.startsWith('.tmp'));
  await Promise.all(engines.map((one) => one.close()));
  return result;
}

/** fs-verity while somebody has the file open for writing. */
async function checkBusy(): Promise<unknown> {
  const path = join(disk, 'busy');
  const writer = openSync(path, 'w');
  writeSync(writer, 'x');
  const reader = openSync(path, 'r');
  const attempt = (): unknown => {
    try {
      return addon.enableVerity(reader, 'sha256') ?? 'on';
    } catch (error) {
      return (error as NodeJS.ErrnoException).code;
    }
  };
  const before = [addon.measureVerity(reader), attempt()];
  closeSync(writer);
  const after = [attempt(), attempt(), addon.measureVerity(reader)?.digest.length];
  closeSync(reader);
  return [...before, ...after];
}

console.log(
  JSON.stringify({
    sha256: await checkAlgorithm('sha256'),
    sha512: await checkAlgorithm('sha512'),
    busy: await checkBusy(),
  }),
);
