/** The bytes of an image as its readers ask for them: all in memory, or in pieces as they are needed. */

/** Some bytes of an image in a row. They never change, so that views of them may be kept. */
export interface ImagePiece {
  bytes: Uint8Array;
  view: DataView;
  /** In the image, of the first byte. */
  start: number;
}

export interface ImageContent {
  sizeBytes: number;
  /** A piece with at least these bytes. @param end exclusive; not above `sizeBytes` */
  piece(start: number, end: number): ImagePiece;
}

export const pieceOf = (bytes: Uint8Array, start: number): ImagePiece => ({
  bytes,
  view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
  start,
});

export function contentInMemory(bytes: Uint8Array): ImageContent {
  const whole = pieceOf(bytes, 0);
  return { sizeBytes: bytes.length, piece: () => whole };
}

/** A view of `sizeBytes` bytes. */
export function bytesAt(content: ImageContent, start: number, sizeBytes: number): Uint8Array {
  const piece = content.piece(start, start + sizeBytes);
  return piece.bytes.subarray(start - piece.start, start - piece.start + sizeBytes);
}
