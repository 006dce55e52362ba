/** Time that only goes forward, for measuring how long something takes. */

/** In milliseconds from some point in the past. Not `performance.now()`: loading what comes with that takes a millisecond. */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e3 + nanoseconds / 1e6;
}
