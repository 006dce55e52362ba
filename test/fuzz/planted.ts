/** Targets with mistakes in them, which a campaign must find. */

import { FormatError } from '../../src/errors.ts';
import type { FuzzTarget } from './target.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
/** The mistake is made after the third of three letters, each of which only the coverage can tell. */
function behindLetters(mistake: () => void): FuzzTarget['parse'] {
  return (bytes) => {
    if (bytes[0] !== 0x62) throw new FormatError('no');
    if (bytes[1] !== 0x75) throw new FormatError('no');
    if (bytes[2] !== 0x67) throw new FormatError('no');
    mistake();
  };
}

let kept: Uint8Array | undefined;

export const targets: FuzzTarget[] = [
  {
    name: 'planted-throw',
    parse: behindLetters(() => (undefined as unknown as string).trim()),
    seeds: [encode('a long seed')],
  },
  {
    name: 'planted-reject',
    async parse(bytes) {
      await Promise.resolve();
      if (bytes.length > 1000) throw new RangeError('Invalid array length');
    },
    seeds: [encode('seed')],
  },
  {
    name: 'planted-loop',
    parse(bytes) {
      while (bytes.length > 20);
    },
    seeds: [encode('seed')],
  },
  {
    name: 'planted-slow',
    parse(bytes) {
      if (bytes.length > 20) for (const end = performance.now() + 2500; performance.now() < end; );
    },
    seeds: [encode('seed')],
  },
  {
    name: 'planted-memory',
    parse(bytes) {
      if (bytes.length > 20) kept = new Uint8Array(600 << 20).fill(1);
      if (kept !== undefined && bytes.length < 2) kept = undefined;
    },
    seeds: [encode('seed')],
  },
  {
    name: 'planted-death',
    parse(bytes) {
      if (bytes.length > 20) process.abort();
    },
    seeds: [encode('seed')],
  },
  { name: 'sound', parse: () => {}, seeds: [encode('seed')] },
];
