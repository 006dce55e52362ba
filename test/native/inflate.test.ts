/** The inflate engines of this build, against each other and against node:zlib. */

import { randomBytes } from 'node:crypto';
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { addon } from './ingest-rows.ts';

const ENGINES = addon.engines.inflate === 'libdeflate' ? (['zlib', 'libdeflate'] as const) : (['zlib'] as const);
type Engine = (typeof ENGINES)[number];

const CONTENTS = [
  Buffer.alloc(0),
  Buffer.from('x'),
  Buffer.alloc(100_000),
  randomBytes(5000),
  Buffer.from('all work and no play '.repeat(3000)),
  Buffer.concat([Buffer.from('tail of zeros'), Buffer.alloc(256 * 1024 - 13)]),
];
const LEVELS = [0, 1, 6, 9];

function inflate(engine: Engine, body: Uint8Array, sizeBytes: number): { result: string; content?: Buffer } {
  const out = new Uint8Array(sizeBytes + 1);
  const result = addon.inflateWith(engine, body, out);
  return result === 'exact' ? { result, content: Buffer.from(out.subarray(0, sizeBytes)) } : { result };
}

test('an engine that this build does not have is refused', () => {
  expect(() => addon.inflateWith('lzma' as never, new Uint8Array(1), new Uint8Array(1))).toThrow(/engine/);
});

describe.each(ENGINES)('%s', (engine) => {
  test('gives back what was deflated', () => {
    for (const content of CONTENTS)
      for (const level of LEVELS) {
        const body = deflateRawSync(content, { level });
        expect(inflate(engine, body, content.length)).toEqual({ result: 'exact', content });
      }
  });

  test('refuses what is longer, shorter, cut, followed by something, or damaged', () => {
    const content = CONTENTS[4];
    const body = deflateRawSync(content);
    expect(inflate(engine, body, content.length - 1).result).toBe('sizeDiffers');
    expect(inflate(engine, body, content.length + 1).result).toBe('sizeDiffers');
    expect(inflate(engine, body, 0).result).toBe('sizeDiffers');
    expect(inflate(engine, Buffer.concat([body, Buffer.alloc(1)]), content.length).result).toBe('trailingBytes');
    expect(inflate(engine, body.subarray(0, -1), content.length).result).toBe('truncated');
    expect(inflate(engine, new Uint8Array(0), 0).result).toBe('truncated');
    expect(inflate(engine, Buffer.from([0xff, 0xff]), 10).result).toBe('damaged'); // block type 3
  });
});

test('damaged streams: zlib here is zlib there, and libdeflate never says another thing, but may take more', () => {
  let accepted = 0;
  let state = 1;
  const random = (): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return state >>> 8;
  };
  for (let round = 0; round < 4000; round++) {
    const content = CONTENTS[round % CONTENTS.length].subarray(0, 3000);
    const body = deflateRawSync(content, { level: LEVELS[round % LEVELS.length] });
    const damaged = Buffer.from(body);
    for (let i = 0; i <= round % 3; i++) damaged[random() % damaged.length] = random() & 255;
    const first = inflate(ENGINES[0], damaged, content.length);
    for (const engine of ENGINES) {
      const found = inflate(engine, damaged, content.length);
      if (first.result === 'exact' || found.result !== 'exact') expect(found).toEqual(first);
    }
    if (first.result !== 'exact') continue;
    accepted++;
    const options = { finishFlush: constants.Z_FINISH, maxOutputLength: content.length + 1 };
    expect(inflateRawSync(damaged, options).equals(first.content as Buffer)).toBe(true);
  }
  expect(accepted).toBeGreaterThan(0);
});

/** One dynamic block of "xx" whose header lists so many literal and length codes: 286 at most are allowed. */
function manyCodes(codes: number): Buffer {
  let bits = '';
  const number = (value: number, width: number): void => {
    for (let i = 0; i < width; i++) bits += (value >> i) & 1;
  };
  number(1, 1);
  number(2, 2);
  number(codes - 257, 5);
  number(0, 5);
  number(14, 4);
  // lengths of the codes for lengths, in their odd order: 18 has one bit, 0 and 1 have two
  for (const length of [0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]) number(length, 3);
  const zeros = (count: number): void => {
    bits += '0';
    number(count - 11, 7);
  };
  zeros(120);
  bits += '11'; // x has one bit
  zeros(135);
  bits += '11'; // and so has the end of the block
  zeros(codes - 257 + 1);
  bits += '001';
  return Buffer.from((bits.match(/.{1,8}/g) ?? []).map((byte) => Number.parseInt([...byte].reverse().join(''), 2)));
}

test('more codes than there are', () => {
  expect(inflateRawSync(manyCodes(286)).toString()).toBe('xx');
  expect(() => inflateRawSync(manyCodes(287))).toThrow();
  for (const engine of ENGINES) expect(inflate(engine, manyCodes(286), 2).result).toBe('exact');
  for (const codes of [287, 288]) {
    expect(inflate('zlib', manyCodes(codes), 2).result).toBe('damaged');
    if (addon.engines.inflate === 'libdeflate') expect(inflate('libdeflate', manyCodes(codes), 2).result).toBe('exact');
  }
});
