/** Large buffers that have one owner. Their memory comes and goes at once, not when some later collection finds out. */

/** A view of all of a buffer that nobody else uses. */
export type OwnedBytes = Uint8Array<ArrayBuffer>;

/** All of the parts, one behind the other. */
export function joined(parts: readonly Uint8Array[]): OwnedBytes {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** The same bytes in a larger buffer, zeros behind them; the old array is empty afterwards. */
export const grow = (bytes: OwnedBytes, sizeBytes: number): OwnedBytes =>
  new Uint8Array(bytes.buffer.transfer(sizeBytes));

/** Every view of the buffer is empty afterwards. */
export function release({ buffer }: { readonly buffer: ArrayBuffer }): void {
  buffer.transfer(0);
}
