/** XXH64 with seed 0, the content checksum of a Zstandard frame (RFC 8878, 3.1.1). */

const P1 = 0x9e3779b185ebca87n;
const P2 = 0xc2b2ae3d27d4eb4fn;
const P3 = 0x165667b19e3779f9n;
const P4 = 0x85ebca77c2b2ae63n;
const P5 = 0x27d4eb2f165667c5n;
const STRIPE_BYTES = 32;

const wrap = (value: bigint): bigint => BigInt.asUintN(64, value);
const rotate = (value: bigint, by: bigint): bigint => wrap((value << by) | (value >> (64n - by)));
const round = (lane: bigint, input: bigint): bigint => wrap(rotate(wrap(lane + input * P2), 31n) * P1);
const mergeRound = (hash: bigint, lane: bigint): bigint => wrap((hash ^ round(0n, lane)) * P1 + P4);

/** Takes its input in pieces. */
export class Xxh64 {
  readonly #lanes = [wrap(P1 + P2), P2, 0n, wrap(-P1)];
  readonly #stripe = new Uint8Array(STRIPE_BYTES);
  #filled = 0;
  #totalBytes = 0;

  update(chunk: Uint8Array): void {
    this.#totalBytes += chunk.length;
    let at = 0;
    if (this.#filled > 0) {
      at = Math.min(STRIPE_BYTES - this.#filled, chunk.length);
      this.#stripe.set(chunk.subarray(0, at), this.#filled);
      this.#filled += at;
      if (this.#filled < STRIPE_BYTES) return;
      this.#consume(this.#stripe, 0, STRIPE_BYTES);
      this.#filled = 0;
    }
    const whole = at + Math.floor((chunk.length - at) / STRIPE_BYTES) * STRIPE_BYTES;
    this.#consume(chunk, at, whole);
    this.#stripe.set(chunk.subarray(whole));
    this.#filled = chunk.length - whole;
  }

  digest(): bigint {
    const [a, b, c, d] = this.#lanes;
    let hash = P5;
    if (this.#totalBytes >= STRIPE_BYTES) {
      hash = wrap(rotate(a, 1n) + rotate(b, 7n) + rotate(c, 12n) + rotate(d, 18n));
      for (const lane of this.#lanes) hash = mergeRound(hash, lane);
    }
    hash = wrap(hash + BigInt(this.#totalBytes));
    const view = new DataView(this.#stripe.buffer);
    let at = 0;
    for (; at + 8 <= this.#filled; at += 8)
      hash = wrap(rotate(hash ^ round(0n, view.getBigUint64(at, true)), 27n) * P1 + P4);
    if (at + 4 <= this.#filled) {
      hash = wrap(rotate(hash ^ wrap(BigInt(view.getUint32(at, true)) * P1), 23n) * P2 + P3);
      at += 4;
    }
    for (; at < this.#filled; at++) hash = wrap(rotate(hash ^ wrap(BigInt(this.#stripe[at]) * P5), 11n) * P1);
    hash = wrap((hash ^ (hash >> 33n)) * P2);
    hash = wrap((hash ^ (hash >> 29n)) * P3);
    return hash ^ (hash >> 32n);
  }

  #consume(bytes: Uint8Array, start: number, end: number): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let [a, b, c, d] = this.#lanes;
    for (let at = start; at < end; at += STRIPE_BYTES) {
      a = round(a, view.getBigUint64(at, true));
      b = round(b, view.getBigUint64(at + 8, true));
      c = round(c, view.getBigUint64(at + 16, true));
      d = round(d, view.getBigUint64(at + 24, true));
    }
    this.#lanes.splice(0, 4, a, b, c, d);
  }
}
