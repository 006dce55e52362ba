/**
 * Odd numbers that nobody outside can know, for the hash of a table whose keys are chosen by strangers: they could make them all
 * collide. They live as long as the process and nothing shows them, so the engine's own generator, which starts from the system's
 * randomness, is enough; `crypto` takes five milliseconds to load.
 */
export const secretFactors = (count: number): Uint32Array =>
  Uint32Array.from({ length: count }, () => (Math.random() * 2 ** 32) | 1);
