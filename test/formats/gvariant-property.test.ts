import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FormatError } from '../../src/errors.ts';
import { type GvValue, parseType, parseVariant, serializeVariant } from '../../src/formats/gvariant.ts';

/** A type and a value of it. */
interface Sample {
  type: string;
  value: GvValue;
}
const of = (type: string, values: fc.Arbitrary<GvValue>): fc.Arbitrary<Sample> =>
  values.map((value) => ({ type, value }));

const textArbitrary = fc.string({ unit: 'binary', maxLength: 300 }).map((text) => text.replaceAll('\0', ''));
const BASIC: Record<string, fc.Arbitrary<GvValue>> = {
  b: fc.boolean(),
  y: fc.integer({ min: 0, max: 0xff }),
  n: fc.integer({ min: -0x8000, max: 0x7fff }),
  q: fc.integer({ min: 0, max: 0xffff }),
  i: fc.integer(),
  h: fc.integer(),
  u: fc.integer({ min: 0, max: 0xffff_ffff }),
  x: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  t: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  d: fc.double(),
  s: textArbitrary,
  o: fc.array(fc.stringMatching(/^[A-Za-z0-9_]{1,9}$/), { maxLength: 4 }).map((parts) => `/${parts.join('/')}`),
  g: fc.constantFrom('', 's', 'a{sv}', '(sta(yb))', 'ii', '()'),
};
const basicCode = fc.constantFrom(...Object.keys(BASIC));

const typeArbitrary: fc.Arbitrary<string> = fc.letrec<{ type: string }>((tie) => ({
  type: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.oneof(basicCode, fc.constant('v'), fc.constant('ay')),
    tie('type').map((type) => `a${type}`),
    tie('type').map((type) => `m${type}`),
    fc.array(tie('type'), { maxLength: 5 }).map((types) => `(${types.join('')})`),
    fc.tuple(basicCode, tie('type')).map(([key, type]) => `a{${key}${type}}`),
  ),
})).type;

/** Values of a type string that `typeArbitrary` may have made; `budget` bounds the variants inside variants. */
function arbitraryOf(signature: string, budget: number): fc.Arbitrary<GvValue> {
  const type = parseType(signature);
  switch (type.kind) {
    case 'basic':
      return BASIC[type.code];
    case 'variant':
      return (budget === 0 ? basicCode : typeArbitrary).chain((inner) =>
        of(inner, arbitraryOf(inner, Math.max(budget - 1, 0))),
      ) as fc.Arbitrary<GvValue>;
    case 'maybe':
      return fc.option(
        arbitraryOf(type.element.signature, budget).map((value) => (type.element.kind === 'maybe' ? [value] : value)),
        { nil: null },
      );
    case 'array':
      if (type.element.signature === 'y') return fc.uint8Array({ maxLength: 300 });
      return fc.array(arbitraryOf(type.element.signature, budget), { maxLength: 6 });
    case 'tuple':
    case 'entry':
      return fc.tuple(...type.members.map((member) => arbitraryOf(member.signature, budget)));
  }
}

const sample = typeArbitrary.chain((type) => of(type, arbitraryOf(type, 2)));

test('random values come back, in both byte orders', () => {
  fc.assert(
    fc.property(sample, fc.constantFrom('le' as const, 'be' as const), ({ type: signature, value }, endian) => {
      const type = parseType(signature);
      const bytes = serializeVariant(type, value, endian);
      expect(parseVariant(type, bytes, { endian })).toEqual(value);
    }),
    { numRuns: 3000 },
  );
});

test('what is accepted is written back to the same bytes; anything else is a FormatError', () => {
  let accepted = 0;
  fc.assert(
    fc.property(sample, fc.nat(), fc.nat({ max: 255 }), ({ type: signature, value }, position, byte) => {
      const type = parseType(signature);
      const bytes = serializeVariant(type, value);
      if (bytes.length === 0) return;
      bytes[position % bytes.length] = byte;
      let changed: GvValue;
      try {
        changed = parseVariant(type, bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError);
        return;
      }
      accepted++;
      if (!hasNaN(changed)) expect(serializeVariant(type, changed)).toEqual(bytes);
    }),
    { numRuns: 3000 },
  );
  expect(accepted).toBeGreaterThan(0);
});

/** The payload of a NaN does not survive being a JavaScript number. */
function hasNaN(value: GvValue): boolean {
  if (typeof value === 'number') return Number.isNaN(value);
  if (Array.isArray(value)) return value.some(hasNaN);
  return typeof value === 'object' && value !== null && 'type' in value && hasNaN(value.value);
}
