/** Large `.filez` that arrive in pieces. */

import { createHash } from 'node:crypto';
import { createDeflateRaw } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { serializeArchiveHeader, serializeContentHeader } from '../../src/formats/ostree/file-header.ts';
import { concat, makeContent, makeHeader, makeObject, makeSymlink, objectPathOf } from './archive-object.ts';
import { addon, type Row, rowsOf } from './ingest-rows.ts';
import { makeStore, type TestStore } from './ingest-support.ts';

async function send(store: TestStore, body: Uint8Array, checksum: Uint8Array, pieceBytes: number): Promise<Row> {
  const stream = store.engine.stream(checksum);
  for (let at = 0; at < body.length; at += pieceBytes)
    if (!(await stream.write(body.subarray(at, at + pieceBytes)))) break;
  return rowsOf(await stream.end(), store.algorithm)[0];
}

describe.each([0, 100, 5000, 400_000])('%i bytes', (size) => {
  const object = makeObject(makeContent(size));
  test.each([1, 3, 100, 65_536, 10_000_000])('in pieces of %i: the same as in one', async (pieceBytes) => {
    if (pieceBytes === 1 && size > 5000) pieceBytes = 7;
    await using store = await makeStore({ alsoSha256: true });
    await using whole = await makeStore({ alsoSha256: true });
    const row = await send(store, object.body, object.checksum, pieceBytes);
    expect(row).toEqual(rowsOf(await whole.engine.archive([object.body], object.checksum), 'sha512')[0]);
    expect(await store.list()).toEqual(size > 128 ? [objectPathOf('sha512', object.content)] : []);
  });
});

test('symlinks too', async () => {
  await using store = await makeStore();
  const { body, checksum } = makeSymlink('target');
  expect(await send(store, body, checksum, 5)).toMatchObject({ status: 'inline', data: body });
});

test('several streams and batches at the same time', async () => {
  await using store = await makeStore();
  const objects = Array.from({ length: 12 }, (_, i) => makeObject(makeContent(200_000 + i, i)));
  const small = Array.from({ length: 100 }, (_, i) => makeObject(makeContent(200 + i, i)));
  const batch = store.engine.archive(
    small.map(({ body }) => body),
    concat(...small.map(({ checksum }) => checksum)),
  );
  const rows = await Promise.all(objects.map(({ body, checksum }) => send(store, body, checksum, 10_000)));
  expect(rows.map(({ status }) => status)).toEqual(objects.map(() => 'new'));
  expect(rowsOf(await batch, 'sha512').every(({ status }) => status === 'new')).toBe(true);
});

test('pieces that are not waited for keep their order', async () => {
  await using store = await makeStore();
  const { body, checksum } = makeObject(makeContent(300_000));
  const stream = store.engine.stream(checksum);
  const written: Promise<boolean>[] = [];
  for (let at = 0; at < body.length; at += 1000) written.push(stream.write(body.subarray(at, at + 1000)));
  const [row] = rowsOf(await stream.end(), 'sha512');
  expect(await Promise.all(written)).toEqual(written.map(() => true));
  expect(row.status).toBe('new');
});

test('write() says false as soon as the object is refused', async () => {
  await using store = await makeStore();
  const stream = store.engine.stream(new Uint8Array(32));
  expect(await stream.write(Uint8Array.of(0, 0, 0, 26))).toBe(true);
  expect(await stream.write(Uint8Array.of(0, 0, 0, 1))).toBe(false);
  expect(await stream.write(new Uint8Array(10))).toBe(false);
  expect(rowsOf(await stream.end(), 'sha512')).toMatchObject([{ status: 'headerPadding' }]);
});

test.each([false, true])('abort() leaves nothing (named temporaries: %s)', async (namedTemporaries) => {
  await using store = await makeStore({ namedTemporaries });
  const { body, checksum } = makeObject(makeContent(400_000));
  const stream = store.engine.stream(checksum);
  await stream.write(body.subarray(0, 100_000));
  expect((await store.list()).length).toBe(namedTemporaries ? 1 : 0);
  stream.abort();
  stream.abort();
  expect(() => stream.write(body)).toThrow('after the end');
  expect(() => stream.end()).toThrow('has ended');
  await store.engine.close();
  expect(await store.list()).toEqual([]);
});

test('end() is the end', async () => {
  await using store = await makeStore();
  const { body, checksum } = makeObject(makeContent(1000));
  const stream = store.engine.stream(checksum);
  await stream.write(body);
  await stream.end();
  stream.abort();
  expect(() => stream.write(body)).toThrow('after the end');
  expect(await store.list()).toHaveLength(1);
});

test('wrong arguments are TypeErrors', async () => {
  await using store = await makeStore();
  expect(() => store.engine.stream(new Uint8Array(31))).toThrow('32 bytes');
  const stream = store.engine.stream(new Uint8Array(32));
  expect(() => stream.write('text' as never)).toThrow('Uint8Array');
  const Stream = stream.constructor as new (...args: unknown[]) => unknown;
  expect(() => new Stream({}, new Uint8Array(32))).toThrow('Ingest.stream()');
  expect(() => new Stream()).toThrow(TypeError);
  stream.abort();
});

test('200 MB pass through in little memory', async () => {
  await using store = await makeStore();
  const pieceBytes = 1 << 20;
  const pieces = 200;
  const piece = makeContent(pieceBytes);
  const header = makeHeader();
  const hash = createHash('sha256').update(serializeContentHeader(header));
  for (let i = 0; i < pieces; i++) hash.update(piece);
  const stream = store.engine.stream(hash.digest());
  const before = process.memoryUsage().rss;
  let peak = before;
  await stream.write(serializeArchiveHeader(header, pieceBytes * pieces));
  const deflate = createDeflateRaw({ level: 1 });
  const done = (async () => {
    for await (const chunk of deflate) {
      await stream.write(chunk as Uint8Array);
      peak = Math.max(peak, process.memoryUsage().rss);
    }
  })();
  for (let i = 0; i < pieces; i++)
    await new Promise<void>((resolve, reject) => deflate.write(piece, (error) => (error ? reject(error) : resolve())));
  deflate.end();
  await done;
  const [row] = rowsOf(await stream.end(), 'sha512');
  expect(row).toMatchObject({ status: 'new', size: pieceBytes * pieces });
  expect(peak - before).toBeLessThan(60_000_000);
  const [path] = await store.list();
  expect(Buffer.from(await addon.fsVerityFile(`${store.objects}/${path}`, 'sha512')).toString('hex')).toBe(row.id);
});
