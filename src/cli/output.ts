/** The one writer of stdout. A reader that has gone away (`| head`) is no error: it ends the program quietly. */

/** stdout is closed: stop, with exit status 0. */
export class ClosedOutput extends Error {
  constructor() {
    super('standard output is closed');
    this.name = 'ClosedOutput';
  }
}

export class Output {
  readonly #stream: NodeJS.WriteStream;
  #error: Error | undefined;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
    stream.on('error', (error: NodeJS.ErrnoException) => {
      this.#error ??= error.code === 'EPIPE' ? new ClosedOutput() : error;
    });
  }

  /** Resolves when the stream can take more. @throws ClosedOutput; the system's error when it cannot be written */
  async write(data: string | Uint8Array): Promise<void> {
    if (this.#error !== undefined) throw this.#error;
    if (data.length === 0) return;
    await new Promise<void>((resolve) => {
      // The callback comes for failures too, before the error event.
      if (this.#stream.write(data, () => resolve())) resolve();
    });
  }

  /** Everything is with the reader. @throws as write */
  async flush(): Promise<void> {
    if (this.#error === undefined) await new Promise<void>((resolve) => this.#stream.write('', () => resolve()));
    await new Promise((resolve) => setImmediate(resolve)); // the error event of the last write
    if (this.#error !== undefined) throw this.#error;
  }
}
