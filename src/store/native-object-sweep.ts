/** The sweep by the addon: one pass on all cores. */

import { explainWriteError } from '../errors.ts';
import type { Algorithm } from '../formats/ids.ts';
import type { NativeAddon } from '../native.ts';
import type { ObjectSweep, SweptObjects } from './object-sweep.ts';

export class NativeObjectSweep implements ObjectSweep {
  #ahead: Promise<void> | undefined;
  readonly #sweep: InstanceType<NativeAddon['ObjectSweep']>;

  constructor(addon: NativeAddon, objectsPath: string, algorithm: Algorithm) {
    this.#sweep = new addon.ObjectSweep(objectsPath, algorithm);
  }

  keep(ids: Uint8Array): void {
    this.#sweep.keep(ids);
  }

  readAhead(): void {
    this.#ahead = this.#sweep.readAhead();
    this.#ahead.catch(() => {}); // whoever sweeps is told
  }

  async sweep(first: number, count: number, options: { remove: boolean }): Promise<SweptObjects> {
    await this.#ahead;
    const { error, errorAt, ...swept } = await this.#sweep.sweep(first, count, options);
    if (error !== undefined) throw explainWriteError(error, { file: `objects/${errorAt}` });
    return swept;
  }
}
