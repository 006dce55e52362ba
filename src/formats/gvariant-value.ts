/** JavaScript values of GVariant types, and who decides about them. */

/** `type` is the type string of `value`. */
export interface GvVariant {
  type: string;
  value: GvValue;
}
/**
 * b → boolean; y n q i u h d → number; x t → bigint; s o g → string; ay → Uint8Array; other arrays, tuples and dictionary
 * entries → array (a dictionary is an array of [key, value] in stored order); v → GvVariant; maybe → value or null, and a Just
 * that holds a maybe → [value].
 */
export type GvValue = boolean | number | bigint | string | Uint8Array | null | GvVariant | GvValue[];

export type Endian = 'le' | 'be';
/** A dictionary `a{sv}` in stored order; keys may repeat, and the first one counts. */
export type VariantDictionary = Array<[string, GvVariant]>;

/** The first entry of that key, as ostree looks keys up. */
export const lookUp = (dictionary: VariantDictionary, key: string): GvVariant | undefined =>
  dictionary.find(([name]) => name === key)?.[1];

/** Smallest and largest value of the integer types that fit a number. */
export const INTEGER_RANGE = {
  y: [0, 0xff],
  n: [-0x8000, 0x7fff],
  q: [0, 0xffff],
  i: [-0x8000_0000, 0x7fff_ffff],
  h: [-0x8000_0000, 0x7fff_ffff],
  u: [0, 0xffff_ffff],
} as const;
