/** What `npm run bench` was asked for. */

import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { GROWTH_FILES, GROWTH_PROGRAMS } from './growth.ts';
import { OPERATIONS } from './operations.ts';
import { inTree, type ProgramName } from './programs.ts';

const DEFAULT_ROUNDS = 5;
/** How figures grow: by name only, for each takes long. */
export const STUDIES = ['growth', 'large-file'];

export const USAGE = `npm run bench -- [name …] [options]

Compares cfs-ostree with cfsctl and ostree: the same data, in turn, each trial on a store of its own. Writes what it finds to
doc/performance. Without names: all operations.

  --work DIRECTORY    where stores are made: the file system that is measured (default: that of temporary files)
  --data DIRECTORY    where the commits are, or are to be made; best in memory (default: cfs-ostree-bench among temporary files)
  --tree DIRECTORY    what to commit; only with a new --data (default: this machine's programs, libraries, headers and documents)
  --rounds N          trials of each program (default: ${DEFAULT_ROUNDS})
  --sizes N,N,…       files of the commits of growth (default: ${GROWTH_FILES})
  --programs NAME,…   programs whose growth is measured, others keep their figures (default: ${GROWTH_PROGRAMS})
  --output DIRECTORY  where the reports are (default: doc/performance)

Operations: ${Object.keys(OPERATIONS).join(', ')}
Studies: ${STUDIES.join(', ')}

It needs ostree, nginx and python3, and takes cfsctl, mkcomposefs, openssl and g++ where they are there
(scripts/ci-peers.sh installs them). Root.
`;

export interface BenchArguments {
  /** Operations and studies. */
  names: string[];
  work: string;
  data: string;
  tree?: string;
  rounds: number;
  sizes: number[];
  programs: ProgramName[];
  output: string;
}

/** Undefined when help was asked for. @throws Error that says what is wrong */
export function parseArguments(args: readonly string[]): BenchArguments | undefined {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      work: { type: 'string', default: tmpdir() },
      data: { type: 'string', default: join(tmpdir(), 'cfs-ostree-bench') },
      tree: { type: 'string' },
      rounds: { type: 'string', default: `${DEFAULT_ROUNDS}` },
      sizes: { type: 'string', default: GROWTH_FILES.join() },
      programs: { type: 'string', default: GROWTH_PROGRAMS.join() },
      output: { type: 'string', default: inTree('doc/performance') },
      help: { type: 'boolean' },
    },
  });
  if (values.help) return undefined;
  const known = [...Object.keys(OPERATIONS), ...STUDIES];
  const unknown = positionals.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new Error(`no operation ${unknown}; there are ${known.join(', ')}`);
  return {
    names: positionals.length === 0 ? Object.keys(OPERATIONS) : positionals,
    work: resolve(values.work),
    data: resolve(values.data),
    tree: values.tree === undefined ? undefined : resolve(values.tree),
    rounds: parseCount('--rounds', values.rounds),
    sizes: values.sizes.split(',').map((size) => parseCount('--sizes', size)),
    programs: values.programs.split(',').map(parseProgram),
    output: resolve(values.output),
  };
}

function parseProgram(name: string): ProgramName {
  const program = GROWTH_PROGRAMS.find((known) => known === name);
  if (program === undefined) throw new Error(`no program ${name}; there are ${GROWTH_PROGRAMS.join(', ')}`);
  return program;
}

function parseCount(option: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`${option}: ${text} is no whole number above 0`);
  return value;
}
