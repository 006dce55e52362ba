/** Small files are read at once: a way through the thread pool costs more than the reading. But others must get their turn. */

/** Well below a millisecond where the files are in memory. */
const READS_PER_TURN = 16;

/** Lets a bounded number of reads happen in each turn of the event loop. */
export class ReadTurns {
  #reads = 0;
  #next: Promise<void> | undefined;

  /** Before each read. */
  async take(): Promise<void> {
    while (this.#reads >= READS_PER_TURN) {
      this.#next ??= new Promise((resolve) => {
        setImmediate(() => {
          this.#reads = 0;
          this.#next = undefined;
          resolve();
        });
      });
      await this.#next;
    }
    this.#reads++;
  }
}
