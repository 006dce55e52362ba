/** The addon's header reader against the one in src/formats: over mutated objects both must come to the same verdict. */

import { inflateSync } from 'fflate';
import { expect, test } from 'vitest';
import { CfsError } from '../../src/errors.ts';
import { isSymlink, parseArchiveHeader } from '../../src/formats/ostree/file-header.ts';
import { readVectorTar } from '../support/vectors.ts';
import { checksumOf, concat, makeContent, makeObject, makeRandom, makeSymlink, xattr } from './archive-object.ts';
import { rowsOf } from './ingest-rows.ts';
import { makeStore } from './ingest-support.ts';

const ROUNDS = 20_000;
const BATCH = 500;

/** What src/formats says: the checksum the object should have, or undefined when its header is refused. */
function judgeHeader(body: Uint8Array): Uint8Array | undefined {
  try {
    const { header, sizeBytes, headerBytes } = parseArchiveHeader(body);
    const content = isSymlink(header)
      ? new Uint8Array(0)
      : inflateSync(body.subarray(headerBytes), { out: new Uint8Array(Math.min(sizeBytes, 100_000)) });
    return checksumOf(header, content);
  } catch (error) {
    if (error instanceof CfsError) return undefined;
    return new Uint8Array(32); // the header is good, the deflate stream is not
  }
}

/** Statuses that speak about the header. */
const isHeaderRefusal = (status: string): boolean =>
  [
    'headerLength',
    'headerPadding',
    'headerForm',
    'sizeRange',
    'fileType',
    'modeBits',
    'rdev',
    'target',
    'xattrs',
    'symlinkSize',
  ].includes(status);

test('mutated headers', async () => {
  const random = makeRandom(20261121);
  const pick = (count: number): number => Math.floor(random() * count);
  const vectors = [...readVectorTar('repos/archive.tar.gz').values()].filter(({ path }) => path.endsWith('.filez'));
  const seeds = [
    ...vectors.map(({ content }) => content).filter(({ length }) => length < 3000),
    makeSymlink('a/b/c').body,
    makeObject(makeContent(40), {
      xattrs: [xattr('user.a', '1'), xattr('user.b', 'x'.repeat(240)), xattr('user.c', '')],
    }).body,
    makeObject(new Uint8Array(0), {
      xattrs: Array.from({ length: 40 }, (_, i) => xattr(`user.${String.fromCharCode(65 + i)}`, `${i}`)),
    }).body,
  ];
  const INTERESTING = [0, 1, 2, 7, 8, 0x0f, 0x10, 0x40, 0x7f, 0x80, 0xa0, 0xc1, 0xff];
  const mutate = (seed: Uint8Array): Uint8Array => {
    let bytes: Uint8Array = seed.slice();
    for (let i = 1 + pick(3); i > 0; i--) {
      const end = Math.min(bytes.length, bytes[2] * 256 + bytes[3] + 8);
      const at = pick(2) === 0 ? pick(end) : Math.max(0, end - 1 - pick(8));
      const kind = pick(5);
      if (kind === 0) bytes[at] ^= 1 << pick(8);
      else if (kind === 1) bytes[at] = INTERESTING[pick(INTERESTING.length)];
      else if (kind === 2) bytes[at] = (bytes[at] + (pick(2) === 0 ? 1 : 255)) & 255;
      else if (kind === 3) bytes = concat(bytes.subarray(0, at), Uint8Array.of(pick(256)), bytes.subarray(at));
      else bytes = concat(bytes.subarray(0, at), bytes.subarray(at + 1));
      if (kind >= 3 && pick(2) === 0 && bytes.length > 4) bytes[3] += kind === 3 ? 1 : 255; // the length goes with it
    }
    return bytes;
  };

  await using store = await makeStore();
  let accepted = 0;
  let refused = 0;
  for (let round = 0; round < ROUNDS; round += BATCH) {
    const bodies = Array.from({ length: BATCH }, () => mutate(seeds[pick(seeds.length)]));
    const verdicts = bodies.map(judgeHeader);
    const checksums = concat(...verdicts.map((checksum) => checksum ?? new Uint8Array(32)));
    const rows = rowsOf(await store.engine.archive(bodies, checksums), 'sha512');
    for (const [i, { status }] of rows.entries()) {
      const same = isHeaderRefusal(status) === (verdicts[i] === undefined);
      if (!same)
        expect.fail(
          `${status}, but src/formats ${verdicts[i] === undefined ? 'refuses' : 'accepts'}: ${Buffer.from(bodies[i]).toString('hex')}`,
        );
      if (verdicts[i] === undefined) refused++;
      else accepted++;
    }
  }
  expect(accepted).toBeGreaterThan(ROUNDS / 20);
  expect(refused).toBeGreaterThan(ROUNDS / 20);
});
