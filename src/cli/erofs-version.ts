/** `--erofs-version` and `--algorithm` of commands that build images. */

import type { Option } from 'commander';
import { UsageError } from '../errors.ts';
import type { Algorithm } from '../formats/ids.ts';
import { type AlgorithmName, algorithmName, algorithmNamed } from './algorithm.ts';
import { choiceOption } from './command.ts';

export const erofsVersionOption = (): Option =>
  choiceOption('--erofs-version <n>', "layout; default: the repository's, 1 without one; auto: as mkcomposefs", [
    '0',
    '1',
    '2',
    'auto',
  ]);

export const parseErofsVersion = (text: string | undefined): 0 | 1 | 2 | 'auto' | undefined =>
  text === undefined || text === 'auto' ? text : (Number(text) as 0 | 1 | 2);

/** Objects of a repository have one algorithm. @throws UsageError when another one is asked for */
export function checkAlgorithm(asked: AlgorithmName | undefined, actual: Algorithm): void {
  if (asked !== undefined && algorithmNamed(asked) !== actual)
    throw new UsageError(`the repository has ${algorithmName(actual)}, not ${asked}`);
}
