/** Framing offsets: where the variable members of a container end. Little-endian in every byte order. */

export type OffsetWidth = 1 | 2 | 4 | 8;

/** Width in bytes of each framing offset of a container of `containerBytes`, its offsets included. */
export const offsetWidth = (containerBytes: number): OffsetWidth =>
  containerBytes <= 0xff ? 1 : containerBytes <= 0xffff ? 2 : containerBytes <= 0xffff_ffff ? 4 : 8;

/** The smallest width that `count` offsets after a body of `bodyBytes` can have; the only one that is normal form. */
export function smallestOffsetWidth(bodyBytes: number, count: number): OffsetWidth {
  if (bodyBytes + count <= 0xff) return 1;
  if (bodyBytes + 2 * count <= 0xffff) return 2;
  return bodyBytes + 4 * count <= 0xffff_ffff ? 4 : 8;
}

/** One offset. A value over 2^53 comes back inexact, and out of bounds all the same. The caller has checked that it lies inside. */
export function readOffset(bytes: Uint8Array, at: number, width: OffsetWidth): number {
  if (width === 1) return bytes[at];
  let value = bytes[at] + bytes[at + 1] * 0x100;
  if (width === 2) return value;
  value += bytes[at + 2] * 0x1_0000 + bytes[at + 3] * 0x100_0000;
  if (width === 4) return value;
  for (let i = 4; i < 8; i++) value += bytes[at + i] * 2 ** (8 * i);
  return value;
}

export function writeOffset(bytes: Uint8Array, at: number, width: OffsetWidth, value: number): void {
  let rest = value;
  for (let i = 0; i < width; i++) {
    bytes[at + i] = rest % 0x100;
    rest = Math.floor(rest / 0x100);
  }
}
