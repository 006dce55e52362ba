/** Bodies above this size are streamed (files) or come into memory one at a time (metadata). */
export const LARGE_BODY_BYTES = 1 << 20;

/**
 * Lets one large metadata body at a time into memory, so that a dozen hostile ones of the permitted size do not add up.
 * `who` is any object that stands for the body.
 */
export class LargeBodyGate {
  #holder: object | undefined;
  readonly #waiting = new Map<object, () => void>();

  /** @returns whether the body may go on now; if not, `wake` is called when it is its turn */
  enter(who: object, wake: () => void): boolean {
    if (this.#holder === undefined) this.#holder = who;
    if (this.#holder === who) return true;
    this.#waiting.set(who, wake);
    return false;
  }

  /** Harmless for those who are not in. */
  leave(who: object): void {
    this.#waiting.delete(who);
    if (this.#holder !== who) return;
    this.#holder = undefined;
    for (const [next, wake] of this.#waiting) {
      this.#waiting.delete(next);
      this.#holder = next;
      wake();
      return;
    }
  }
}
