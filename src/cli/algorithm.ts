/** How the command line and JSON write a digest algorithm: as `meta.json` does, with the block size. */

import type { Option } from 'commander';
import type { Algorithm } from '../formats/ids.ts';
import { choiceOption } from './command.ts';

const ALGORITHMS = { 'fsverity-sha512-12': 'sha512', 'fsverity-sha256-12': 'sha256' } as const;

export type AlgorithmName = keyof typeof ALGORITHMS;

export const algorithmNamed = (name: AlgorithmName): Algorithm => ALGORITHMS[name];
export const algorithmName = (algorithm: Algorithm): AlgorithmName => `fsverity-${algorithm}-12`;

export const algorithmOption = (description: string): Option =>
  choiceOption('--algorithm <name>', description, Object.keys(ALGORITHMS));
