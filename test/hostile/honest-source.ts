/** An ostree repository as anybody publishes one, for attacks on the way to it: files of all kinds, one of them large, and two refs. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Checksum } from '../../src/formats/ids.ts';
import { sharedFixture } from '../support/run-directory.ts';
import { HostileSource, name } from './hostile-source.ts';

export interface HonestSource {
  path: string;
  /** Most files are in both commits. */
  commits: { 'os/main': Checksum; 'os/other': Checksum };
  /** Path of the object of the large file, below `path`. */
  largeObject: string;
  files: number;
}

export const MAIN = 'os/main';
export const OTHER = 'os/other';

const DIRECTORIES = 10;
const FILES_EACH = 30;
/** More than sources keep whole; compressed it is as large. */
const LARGE_BYTES = 12 << 20;

/** Made once per run; read only. */
export const honestSource = (): Promise<HonestSource> =>
  sharedFixture('honest-source', async (path) => {
    const source = new HostileSource(path);
    const noise = new Noise(1);
    const large = source.addFile(noise.bytes(LARGE_BYTES));
    const directories = Array.from({ length: DIRECTORIES }, (_, d) => {
      const files = Array.from({ length: FILES_EACH }, (_, f) => ({
        name: name(`file-${String(f).padStart(2, '0')}`),
        // every fifth one fits into the commit stream
        checksum: source.addFile(noise.bytes(f % 5 === 0 ? 30 : 500 + 700 * f)),
      }));
      return source.directory(`directory-${d}`, source.addTree({ files, directories: [] }));
    });
    const commit = (more: string) => {
      const files = [
        { name: name('large'), checksum: large },
        { name: name('more'), checksum: source.addFile(Buffer.from(more.repeat(1000))) },
      ];
      return source.commit(source.addTree({ files, directories }), { subject: more });
    };
    const commits = { 'os/main': commit('main'), 'os/other': commit('other') };
    for (const [ref, checksum] of Object.entries(commits)) {
      const file = join(path, 'refs/heads', ref);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, `${checksum}\n`);
    }
    const largeObject = `objects/${large.slice(0, 2)}/${large.slice(2)}.filez`;
    return { path, commits, largeObject, files: DIRECTORIES * FILES_EACH + 2 };
  });

/** Bytes that do not compress, the same ones every time. */
class Noise {
  #state: number;
  constructor(seed: number) {
    this.#state = seed;
  }
  bytes(length: number): Buffer {
    const bytes = Buffer.alloc(length);
    for (let i = 0; i < length; i++) {
      this.#state = (Math.imul(this.#state, 1103515245) + 12345) & 0x7fffffff;
      bytes[i] = this.#state >> 16;
    }
    return bytes;
  }
}
