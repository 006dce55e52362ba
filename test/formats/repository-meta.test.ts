import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { FormatError, LimitError, RepositoryError } from '../../src/errors.ts';
import { fromHex } from '../../src/formats/ids.ts';
import { checkFeatures, parseRepositoryMeta, serializeRepositoryMeta } from '../../src/formats/repository-meta.ts';
import { type FeatureCase, readComposefsVectors } from '../support/composefs-vectors.ts';

const vectors = readComposefsVectors();
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const control = vectors.features.cases.find(({ id }) => id === 'control')?.meta_json ?? '';

function bytesOf({ id, meta_json, meta_json_hex }: FeatureCase): Uint8Array {
  if (typeof meta_json === 'string') return encode(meta_json);
  if (meta_json_hex !== undefined) return fromHex(meta_json_hex);
  expect(id).toBe('deep-nesting');
  const nested = `${'['.repeat(5000)}${']'.repeat(5000)}`;
  return encode(control.replace('"version"', `"x": ${nested},\n  "version"`));
}

const judge = (bytes: Uint8Array): { open: string; write: string } => {
  try {
    const access = checkFeatures(parseRepositoryMeta(bytes, { file: 'meta.json' }));
    return { open: 'accept', write: access === 'read-write' ? 'accept' : 'reject' };
  } catch (error) {
    if (!(error instanceof FormatError || error instanceof RepositoryError)) throw error;
    return { open: 'reject', write: 'reject' };
  }
};

describe('every meta.json of the vectors', () => {
  // its objects are named by the other algorithm, which only they can show
  const cases = vectors.features.cases.filter(({ id }) => id !== 'algorithm-other');
  test.each(cases)('$id ($reason): open $should.open, write $should.write', (feature) => {
    const verdict = judge(bytesOf(feature));
    for (const step of ['open', 'write'] as const)
      if (feature.should[step] !== 'may-reject') expect(verdict[step]).toBe(feature.should[step]);
  });

  test.each(cases.filter(({ cfsctl, should }) => should.open === 'accept' && (cfsctl.pull?.images?.length ?? 0) > 0))(
    '$id: the images that a pull makes',
    (feature) => {
      const { images = [], default_image } = feature.cfsctl.pull ?? {};
      const { erofs } = parseRepositoryMeta(bytesOf(feature));
      expect(erofs.default).toBe(images.find(({ image }) => image === default_image)?.composefs_version);
      const all = new Set(images.map(({ composefs_version }) => composefs_version));
      expect(new Set([erofs.default, ...erofs.extra])).toEqual(all);
      expect(erofs.extra).toEqual([...all].filter((version) => version !== erofs.default).sort());
    },
  );
});

test('unknown incompatible features are all named', () => {
  const feature = vectors.features.cases.find(({ id }) => id === 'unknown-incompatible-two') as FeatureCase;
  expect(() => checkFeatures(parseRepositoryMeta(bytesOf(feature)))).toThrow(/"x_new", "y_new"/);
});

test.each(Object.entries(vectors.repositories))('%s: written as cfsctl wrote it', (name, { meta_json, algorithm }) => {
  const [, hash, version] = /^(sha256|sha512)-v([012])/.exec(name) ?? [];
  expect(algorithm).toBe(`fsverity-${hash}-12`);
  const erofs = { default: Number(version) as 0 | 1 | 2, extra: [] };
  const bytes = serializeRepositoryMeta({ algorithm: hash as 'sha256' | 'sha512', erofs });
  expect(new TextDecoder().decode(bytes)).toBe(meta_json);
  expect(parseRepositoryMeta(bytes)).toMatchObject({ version: 1, algorithm: hash, erofs });
});

test('further versions are listed, one to a line', () => {
  const bytes = serializeRepositoryMeta({ algorithm: 'sha256', erofs: { default: 1, extra: [2, 1, 0] } });
  const expected = vectors.features.cases.find(({ id }) => id === 'erofs-1-extra-0-2')?.meta_json ?? '';
  expect(new TextDecoder().decode(bytes)).toBe(expected);
  expect(parseRepositoryMeta(bytes).erofs).toEqual({ default: 1, extra: [0, 2] });
});

test('the file of 219 bytes', () => {
  const bytes = serializeRepositoryMeta({ algorithm: 'sha512', erofs: { default: 1, extra: [] } });
  expect(bytes.length).toBe(219);
  const base = vectors.repositories['sha512-v1'].meta_json;
  expect(createHash('sha256').update(bytes).digest('hex')).toBe(createHash('sha256').update(base).digest('hex'));
});

test('errors say which key', () => {
  const text = '{"version":1,"algorithm":"fsverity-sha256-12","features":{"incompatible":[7]}}';
  expect(() => parseRepositoryMeta(encode(text), { file: 'meta.json' })).toThrow(
    expect.objectContaining({
      code: 'CFS_FORMAT',
      where: expect.objectContaining({ file: 'meta.json', field: 'features.incompatible' }),
    }),
  );
});

test.each([
  ['a newer layout is told before its algorithm', '{"version":2,"algorithm":"fsverity-blake3-12"}', /version 2/],
  ['block size with leading zero', '{"version":1,"algorithm":"fsverity-sha256-012"}', /fsverity-sha256-012/],
  ['block size with plus', '{"version":1,"algorithm":"fsverity-sha256-+12"}', /not supported/],
  ['a name of every object', '{"version":1,"algorithm":"constructor"}', /not supported/],
])('%s', (_, text, message) => {
  expect(() => parseRepositoryMeta(encode(text))).toThrow(RepositoryError);
  expect(() => parseRepositoryMeta(encode(text))).toThrow(message);
});

test.each([
  ['lone surrogate', '{"version":1,"algorithm":"\\ud800"}'],
  ['control character', '{"version":1,"algorithm":"a\tb"}'],
  ['leading zero', '{"version":01,"algorithm":"fsverity-sha256-12"}'],
  ['minus zero', '{"version":-0,"algorithm":"fsverity-sha256-12"}'],
  ['escaped duplicate key', '{"version":1,"\\u0076ersion":0,"algorithm":"fsverity-sha256-12"}'],
  ['an escape that does not exist', '{"version":1,"algorithm":"\\x41"}'],
  ['the word undefined', '{"version":undefined}'],
  ['an open string', '{"version":1,"algorithm":"fsverity'],
  ['a comma only', '{,}'],
  ['an array with a trailing comma', '{"x":[1,],"version":1,"algorithm":"fsverity-sha256-12"}'],
])('not JSON, or not for us: %s', (_, text) => {
  expect(() => parseRepositoryMeta(encode(text))).toThrow(FormatError);
});

test('escapes in strings', () => {
  const text =
    '{"version":1,"algorithm":"fsverity\\u002dsha256-12","features":{"compatible":["\\"\\\\\\/\\b\\f\\n\\r\\t\\ud83d\\ude00é"]}}';
  const meta = parseRepositoryMeta(encode(text));
  expect(meta.algorithm).toBe('sha256');
  expect(meta.features.compatible).toEqual(['"\\/\b\f\n\r\t\u{1f600}é']);
});

test('size and depth are limited', () => {
  expect(() => parseRepositoryMeta(new Uint8Array(1024 * 1024 + 1).fill(32))).toThrow(LimitError);
  const nested = (depth: number) =>
    encode(`{"version":1,"algorithm":"fsverity-sha256-12","x":${'['.repeat(depth)}${']'.repeat(depth)}}`);
  expect(() => parseRepositoryMeta(nested(60))).not.toThrow();
  expect(() => parseRepositoryMeta(nested(100))).toThrow(LimitError);
});

test.each([
  ['plain', 'x'.repeat(1_000_000)],
  ['escaped', '\\n'.repeat(500_000)],
])('a string of a megabyte, %s', (_, long) => {
  const text = `{"version":1,"algorithm":"fsverity-sha256-12","x":"${long}"}`;
  expect(parseRepositoryMeta(encode(text)).version).toBe(1);
  expect(() => parseRepositoryMeta(encode(text.slice(0, -2)))).toThrow(FormatError);
});
