/** Chunked transfer coding (RFC 9112, section 7.1), decoded as it arrives. */

import { ProtocolError } from './http-errors.ts';

/** Of a chunk's size line with its extensions, and of all trailer fields together. */
const MAX_LINE_BYTES = 4096;
const MAX_TRAILER_BYTES = 16 << 10;
const CR = 13;
const LF = 10;

type State = 'size' | 'data' | 'data-end' | 'trailer' | 'done';

export class ChunkedDecoder {
  #state: State = 'size';
  /** What has arrived of a line. */
  #line = '';
  #trailerBytes = 0;
  /** Of the present chunk, still to come. */
  #leftBytes = 0;

  get isDone(): boolean {
    return this.#state === 'done';
  }

  /**
   * Takes bytes[at, end) as far as the body goes. `onData` gets the pieces of the content, as ranges of `bytes`, until it says false.
   * @returns where it stopped: behind the body when isDone
   * @throws ProtocolError
   */
  decode(bytes: Buffer, at: number, end: number, onData: (start: number, end: number) => boolean): number {
    let next = at;
    while (next < end && this.#state !== 'done') {
      if (this.#state !== 'data') {
        next = this.#takeLine(bytes, next, end);
        continue;
      }
      const stop = Math.min(end, next + this.#leftBytes);
      this.#leftBytes -= stop - next;
      if (this.#leftBytes === 0) this.#state = 'data-end';
      if (!onData(next, stop)) return stop;
      next = stop;
    }
    return next;
  }

  #takeLine(bytes: Buffer, at: number, end: number): number {
    const feed = bytes.indexOf(LF, at);
    const isWhole = feed >= 0 && feed < end;
    const stop = isWhole ? feed : end;
    if (this.#line.length + stop - at > MAX_LINE_BYTES)
      throw new ProtocolError('a line of its chunked body is too long');
    this.#line += bytes.toString('latin1', at, stop);
    if (!isWhole) return end;
    if (this.#line.charCodeAt(this.#line.length - 1) !== CR)
      throw new ProtocolError('a line of its chunked body ends without CR');
    const line = this.#line.slice(0, -1);
    this.#line = '';
    this.#onLine(line);
    return feed + 1;
  }

  #onLine(line: string): void {
    if (this.#state === 'size') {
      const size = /^([0-9a-fA-F]{1,13})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?$/.exec(line);
      if (size === null) throw new ProtocolError('the size of a chunk is none');
      this.#leftBytes = Number.parseInt(size[1], 16);
      this.#state = this.#leftBytes === 0 ? 'trailer' : 'data';
    } else if (this.#state === 'data-end') {
      if (line !== '') throw new ProtocolError('a chunk is longer than its size');
      this.#state = 'size';
    } else {
      this.#trailerBytes += line.length;
      if (this.#trailerBytes > MAX_TRAILER_BYTES) throw new ProtocolError('its trailers are too long');
      if (line === '') this.#state = 'done';
    }
  }
}
