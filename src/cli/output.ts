/**
 * The one writer of stdout. A reader that has gone away (`| head`) is no error: it ends the program quietly.
 *
 * Written by system call, which waits for the reader as Node's own stdout does. Loading Node's streams takes as long as a short command; they
 * are only needed where somebody else has made the pipe or terminal a non-blocking one.
 */

import { writeSync } from 'node:fs';

/** stdout is closed: stop, with exit status 0. */
export class ClosedOutput extends Error {
  constructor() {
    super('standard output is closed');
    this.name = 'ClosedOutput';
  }
}

const STDOUT = 1;

export class Output {
  readonly #openStream: () => NodeJS.WriteStream;
  #stream: NodeJS.WriteStream | undefined;
  #error: Error | undefined;

  /** @param openStream for what cannot be written at once */
  constructor(openStream: () => NodeJS.WriteStream) {
    this.#openStream = openStream;
  }

  /** Resolves when stdout can take more. @throws ClosedOutput; the system's error when it cannot be written */
  async write(data: string | Uint8Array): Promise<void> {
    if (this.#error !== undefined) throw this.#error;
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    const written = this.#stream === undefined ? writeUntilItWouldBlock(bytes) : 0;
    if (written === bytes.length) return;
    const stream = this.#stream ?? this.#beginStream();
    await new Promise<void>((resolve) => {
      // The callback comes for failures too, before the error event.
      if (stream.write(bytes.subarray(written), () => resolve())) resolve();
    });
  }

  /** Everything is with the reader. @throws as write */
  async flush(): Promise<void> {
    const stream = this.#stream;
    if (stream === undefined) return;
    if (this.#error === undefined) await new Promise<void>((resolve) => stream.write('', () => resolve()));
    await new Promise((resolve) => setImmediate(resolve)); // the error event of the last write
    if (this.#error !== undefined) throw this.#error;
  }

  #beginStream(): NodeJS.WriteStream {
    const stream = this.#openStream();
    stream.on('error', (error) => {
      this.#error ??= explain(error);
    });
    this.#stream = stream;
    return stream;
  }
}

/** @returns the bytes that were taken */
function writeUntilItWouldBlock(bytes: Uint8Array): number {
  let at = 0;
  try {
    while (at < bytes.length) at += writeSync(STDOUT, bytes, at);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw explain(error as Error);
  }
  return at;
}

const explain = (error: NodeJS.ErrnoException): Error => (error.code === 'EPIPE' ? new ClosedOutput() : error);
