/** A large file as its readers ask for it: a few pages of it in memory, never all. */

import type { Where } from '../errors.ts';
import { type ImageContent, type ImagePiece, pieceOf } from '../formats/erofs/image-content.ts';
import { fillSync } from './regular-file.ts';

const PAGE_BYTES = 1 << 16;
/** Readers go back and forth between a directory, its inodes and what these share: 4 MiB are enough for that. */
const PAGES_KEPT = 64;

export class FilePages implements ImageContent {
  readonly sizeBytes: number;
  readonly #fd: number;
  readonly #where: Where;
  /** By number; the one that was asked for last is at the end. */
  readonly #pages = new Map<number, ImagePiece>();
  #last: ImagePiece = pieceOf(new Uint8Array(0), 0);

  /** @param fd open as long as pieces are asked for; the file does not change meanwhile */
  constructor(fd: number, sizeBytes: number, where: Where) {
    this.#fd = fd;
    this.sizeBytes = sizeBytes;
    this.#where = where;
  }

  /** @throws FormatError when the file became shorter or cannot be read */
  piece(start: number, end: number): ImagePiece {
    const last = this.#last;
    if (start >= last.start && end <= last.start + last.bytes.length) return last;
    const number = Math.floor(start / PAGE_BYTES);
    if (end > (number + 1) * PAGE_BYTES) return this.#read(start, end); // seldom: nobody asks for just that again
    const page = this.#pages.get(number) ?? this.#read(number * PAGE_BYTES, this.#endOf(number));
    this.#pages.delete(number);
    this.#pages.set(number, page);
    if (this.#pages.size > PAGES_KEPT) this.#pages.delete(this.#pages.keys().next().value as number);
    this.#last = page;
    return page;
  }

  #endOf(number: number): number {
    return Math.min((number + 1) * PAGE_BYTES, this.sizeBytes);
  }

  /** Into memory of its own: whoever has a view of a page may keep it. */
  #read(start: number, end: number): ImagePiece {
    const bytes = new Uint8Array(end - start);
    fillSync(this.#fd, bytes, { start, sizeBytes: this.sizeBytes }, this.#where);
    return pieceOf(bytes, start);
  }
}
