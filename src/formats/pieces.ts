/** Buffers of one size for large bodies on their way from a source to the store: used again, for fresh memory costs more than its copy. */

import type { OwnedBytes } from './owned-bytes.ts';

export const PIECE_BYTES = 128 << 10;
/** What is kept for later use, at most. */
const MAX_SPARE = 16;

const spare: OwnedBytes[] = [];

/** A view of PIECE_BYTES, with whatever was in it. */
export const takePiece = (): OwnedBytes => spare.pop() ?? new Uint8Array(PIECE_BYTES);

/** The end of a piece, or of a part of one from its start, that nobody looks at any more. */
export function returnPiece({ buffer }: OwnedBytes): void {
  if (buffer.byteLength === PIECE_BYTES && spare.length < MAX_SPARE) spare.push(new Uint8Array(buffer));
}
