/** fs-verity digests: the addon's engines against the portable code; whole files with their ostree checksums. */

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { mkdir, symlink, truncate, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { type Algorithm, digestBytes, toHex } from '../../src/formats/ids.ts';
import { serializeContentHeader } from '../../src/formats/ostree/file-header.ts';
import { nodeHashing } from '../../src/native.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { checksumOf, concat, makeContent, makeHeader, makeRandom, verityDigest } from './archive-object.ts';
import { addon } from './ingest-rows.ts';

const ALGORITHMS: Algorithm[] = ['sha256', 'sha512'];
const ENGINES = addon.engines.sha512 === 'avx512' ? (['evp', 'avx512'] as const) : (['evp'] as const);

test('this machine uses the engine that its CPU has', () => {
  const flags = execFileSync('cat', ['/proc/cpuinfo'], { encoding: 'utf8' });
  const hasLanes = ['avx512f', 'avx512bw', 'avx512vl'].every((flag) => flags.includes(` ${flag} `));
  expect(addon.engines).toMatchObject({ sha512: hasLanes ? 'avx512' : 'evp', sha256: hasLanes ? 'avx512' : 'evp' });
});

test('SHA-256 of one or two pieces is that of node:crypto', () => {
  for (const size of [0, 1, 55, 56, 63, 64, 65, 1000, 70_000]) {
    const content = makeContent(size, size);
    const expected = createHash('sha256').update(content).digest('hex');
    expect(toHex(addon.sha256(content))).toBe(expected);
    for (const cut of new Set([0, size >> 1, size]))
      expect(toHex(nodeHashing.sha256(content.subarray(0, cut), content.subarray(cut)))).toBe(expected);
  }
  expect(toHex(nodeHashing.sha256(Buffer.from('a'), Buffer.from('b'), Buffer.from('c')))).toBe(
    createHash('sha256').update('abc').digest('hex'),
  );
});

describe.each(ALGORITHMS)('%s', (algorithm) => {
  // block, lane and tree boundaries of both algorithms
  const sizes = [0, 1, 55, 64, 127, 128, 4095, 4096, 4097];
  for (const blocks of [2, 3, 4, 7, 8, 9, 15, 16, 17, 24, 31, 63, 64, 65, 127, 128, 129])
    sizes.push(blocks * 4096 - 1, blocks * 4096);

  test.each(ENGINES)('%s agrees with the portable code at every boundary', (engine) => {
    for (const size of sizes) {
      const content = makeContent(size, size);
      expect([size, toHex(addon.fsVerityWith(engine, algorithm, content))]).toEqual([
        size,
        toHex(verityDigest(algorithm, content)),
      ]);
    }
  });

  test('all engines agree on three levels and more', () => {
    for (const size of [64 * 64 * 4096 + 1, 128 * 128 * 4096 + 5000].map((bytes) => Math.min(bytes, 70_000_000))) {
      const content = makeContent(size, 5);
      const digests = ENGINES.map((engine) => toHex(addon.fsVerityWith(engine, algorithm, content)));
      expect(new Set([...digests, toHex(addon.fsVerity(algorithm, content))]).size).toBe(1);
    }
  });

  test('files of any size, by path and by descriptor, give what memory gives', async () => {
    await using directory = await makeTemporaryDirectory('memory');
    const random = makeRandom(3);
    for (const size of [...sizes, 262_143, 262_144, 262_145, 1_000_000 + Math.floor(random() * 1e6)]) {
      const content = makeContent(size, size);
      const path = directory.join('file');
      await writeFile(path, content);
      const expected = addon.fsVerity(algorithm, content);
      expect(await addon.fsVerityFile(path, algorithm)).toEqual(expected);
      const fd = openSync(path, 'r');
      const digest = addon.fsVerityFile(fd, algorithm);
      closeSync(fd); // it has its own
      expect(await digest).toEqual(expected);
    }
  });
});

test('known digests', () => {
  const hello = new TextEncoder().encode('hello world');
  expect(toHex(addon.fsVerity('sha256', hello))).toBe(
    '1e2eaa4202d750a41174ee454970b92c1bc2f925b1e35076d8c7d5f56362ba64',
  );
  expect(toHex(addon.fsVerity('sha512', new Uint8Array(0)))).toBe(
    'ccf9e5aea1c2a64efa2f2354a6024b90dffde6bbc017825045dce374474e13d10adb9dadcc6ca8e17a3c075fbd31336e8f266ae6fa93a6c3bed66f9e784e5abf',
  );
});

describe('hashFiles', () => {
  test.each(ALGORITHMS)('%s: digest and all ostree checksums from one read', async (algorithm) => {
    await using directory = await makeTemporaryDirectory('memory');
    const contents = [0, 5, 4096, 100_000, 262_144, 262_145, 1_500_000, 70].map((size, i) => makeContent(size, i));
    const headers = [makeHeader(), makeHeader({ uid: 1 }), makeHeader({ mode: 0o100755 })];
    const wanted = contents.map((_, i) => headers.slice(0, i % 4)); // 0 to 3 of them
    const paths = contents.map((_, i) => directory.join(`${i}`));
    await Promise.all(paths.map((path, i) => writeFile(path, contents[i])));
    const hashed = await addon.hashFiles(paths, {
      algorithm,
      contentHeaders: wanted.map((some, i) => (i === 4 ? undefined : some.map(serializeContentHeader))),
    });
    expect(hashed.errno).toEqual(new Int32Array(8));
    expect(hashed.sizes).toEqual(Float64Array.from(contents, ({ length }) => length));
    expect(hashed.measured).toEqual(new Uint8Array(8));
    expect(toHex(hashed.digests)).toBe(contents.map((content) => toHex(verityDigest(algorithm, content))).join(''));
    const checksums = contents.flatMap((content, i) =>
      i === 4 ? [] : wanted[i].map((header) => checksumOf(header, content)),
    );
    expect(toHex(hashed.checksums)).toBe(toHex(concat(...checksums)));
  });

  test('checksums of many files, small and large, that are hashed side by side and end one after the other', async () => {
    await using directory = await makeTemporaryDirectory('memory');
    const sizes = [
      ...Array.from({ length: 64 }, (_, i) => i * 61), // every place in a block
      ...Array.from({ length: 64 }, (_, i) => 200_000 - i * 3001),
      ...Array.from({ length: 40 }, (_, i) => 262_145 + i * 7001),
      3_000_000,
      ...Array.from({ length: 8 }, () => 700_000),
    ];
    const contents = sizes.map((size, i) => makeContent(size, i));
    const headers = sizes.map((_, i) => makeHeader({ uid: i }));
    const paths = sizes.map((_, i) => directory.join(`${i}`));
    await Promise.all(paths.map((path, i) => writeFile(path, contents[i])));
    const hashed = await addon.hashFiles(paths, {
      algorithm: 'sha256',
      contentHeaders: headers.map((header) => [serializeContentHeader(header)]),
    });
    for (const [i, content] of contents.entries()) {
      const at = [i * 32, (i + 1) * 32] as const;
      expect([sizes[i], hashed.errno[i], toHex(hashed.checksums.subarray(...at))]).toEqual([
        sizes[i],
        0,
        toHex(checksumOf(headers[i], content)),
      ]);
      expect([sizes[i], toHex(hashed.digests.subarray(...at))]).toEqual([
        sizes[i],
        toHex(addon.fsVerityWith('evp', 'sha256', content)),
      ]);
    }
  });

  test('each failure stays with its file', async () => {
    await using directory = await makeTemporaryDirectory('memory');
    const content = makeContent(3000);
    await writeFile(directory.join('good'), content);
    await symlink('good', directory.join('link'));
    await mkdir(directory.join('directory'));
    execFileSync('mkfifo', [directory.join('fifo')]);
    await writeFile(directory.join('large'), '');
    await truncate(directory.join('large'), 5000);
    const names = ['good', 'link', 'directory', 'fifo', 'none', 'large', 'good'];
    const header = serializeContentHeader(makeHeader());
    const hashed = await addon.hashFiles(
      names.map((name) => directory.join(name)),
      {
        algorithm: 'sha256',
        maxBytes: 4000,
        contentHeaders: names.map(() => [header]),
      },
    );
    expect(Array.from(hashed.errno)).toEqual([0, 40, 21, 40, 2, 27, 0]); // ELOOP, EISDIR, ELOOP, ENOENT, EFBIG
    const checksum = checksumOf(makeHeader(), content);
    expect(hashed.checksums.slice(0, 32)).toEqual(checksum);
    expect(hashed.checksums.slice(6 * 32)).toEqual(checksum);
    expect(hashed.checksums.slice(32, 6 * 32).every((byte) => byte === 0)).toBe(true);
    expect(hashed.digests.slice(32, 6 * 32).every((byte) => byte === 0)).toBe(true);
  });

  test('hundreds of files', async () => {
    await using directory = await makeTemporaryDirectory('memory');
    const contents = Array.from({ length: 500 }, (_, i) => makeContent(i * 13, i));
    const paths = contents.map((_, i) => directory.join(`${i}`));
    await Promise.all(paths.map((path, i) => writeFile(path, contents[i])));
    const { digests } = await addon.hashFiles(paths, { algorithm: 'sha512' });
    for (const [i, content] of contents.entries())
      expect(digests.subarray(i * digestBytes('sha512'), (i + 1) * digestBytes('sha512'))).toEqual(
        addon.fsVerity('sha512', content),
      );
  });

  test('nothing to do', async () => {
    expect(await addon.hashFiles([], { algorithm: 'sha256', contentHeaders: [] })).toMatchObject({
      digests: new Uint8Array(0),
    });
  });
});

test('what cannot be read is an error with its number', async () => {
  await expect(addon.fsVerityFile('/nowhere', 'sha256')).rejects.toMatchObject({ code: 'ENOENT', errno: -2 });
  await expect(addon.fsVerityFile('/proc', 'sha256')).rejects.toMatchObject({ code: 'EISDIR' });
  expect(() => addon.fsVerityFile(1_000_000, 'sha256')).toThrow(expect.objectContaining({ code: 'EBADF' }));
});

test('wrong arguments are TypeErrors', () => {
  expect(() => addon.fsVerity('sha1' as never, new Uint8Array(1))).toThrow('sha256 or sha512');
  expect(() => addon.fsVerity('sha256', 'x' as never)).toThrow('Uint8Array');
  expect(() => addon.hashFiles(['x'], {} as never)).toThrow(TypeError);
  expect(() => addon.hashFiles(['x'], { algorithm: 'sha256', contentHeaders: [] })).toThrow('as many');
  expect(() => addon.hashFiles(['x'], { algorithm: 'sha256', maxBytes: -1 })).toThrow('maxBytes');
});
