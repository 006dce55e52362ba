/** How time and memory grow with the number of files, and what one very large file takes. */

import { rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { findPeer } from '../test/support/peers.ts';
import type { Environment } from './environment.ts';
import { GENERATED_REF, writeLargeFile, writeSmallFiles } from './generated-repository.ts';
import { type Measurement, measureAll, TimeoutError } from './measure.ts';
import { type Command, cfsctl, cfsOstree, inChroot, ostree, type ProgramName } from './programs.ts';
import type { Stores } from './stores.ts';
import { medianOfTrials } from './verdicts.ts';

/** Files of the commits. Targets are about the last two. */
export const GROWTH_FILES = [10_000, 100_000, 1_000_000];
export const GROWTH_PROGRAMS: readonly ProgramName[] = ['cfs-ostree', 'cfsctl', 'ostree'];
/** Longer than this is as good as never. */
const TIMEOUT_MS = 600_000;
const LARGE_FILE_SEGMENTS = 320; // 20 GiB
/** The archive, which deflates well, and a rest for others. */
const LARGE_FILE_SPARE_BYTES = 2 ** 31;

export interface GrowthFigure {
  program: ProgramName;
  operation: string;
  files: number;
  /** Undefined where it was not done in time. */
  median?: Measurement;
}

export interface GrowthReport {
  environment: Environment;
  rounds?: number;
  figures?: GrowthFigure[];
  largeFile?: { bytes: number; median: Measurement };
}

interface Study {
  stores: Stores;
  rounds: number;
  say: (text: string) => void;
}

/** What is measured of how things grow. */
export interface GrowthPlan {
  /** Numbers of files. */
  sizes: readonly number[];
  programs: readonly ProgramName[];
}

/** Each program pulls from a local archive repository and then works on what it has. */
export async function measureGrowth(study: Study, { sizes, ...plan }: GrowthPlan): Promise<GrowthFigure[]> {
  const { stores, rounds, say } = study;
  const figures: GrowthFigure[] = [];
  const tooSlow = new Set<ProgramName>();
  const programs = plan.programs.filter((program) => program === 'cfs-ostree' || findPeer(program) !== undefined);
  for (const files of sizes) {
    say(`writing a repository of ${files} files`);
    const source = stores.path();
    writeSmallFiles(source, files);
    const trials = new Map<string, { program: ProgramName; operation: string; measured: Measurement[] }>();
    for (let round = 0; round < rounds; round++)
      for (const program of programs) {
        if (tooSlow.has(program)) continue;
        say(`growth, ${files} files, round ${round + 1} of ${rounds}: ${program}`);
        const store = await stores.empty(program);
        for (const [operation, command] of Object.entries(commandsOf(program, store, source))) {
          const trial = trials.get(`${program} ${operation}`) ?? { program, operation, measured: [] };
          trials.set(`${program} ${operation}`, trial);
          try {
            trial.measured.push(await measureAll([command], TIMEOUT_MS));
          } catch (error) {
            if (!(error instanceof TimeoutError)) throw error;
            say(`${program} ${operation}: ${error.message}`);
            tooSlow.add(program);
            break;
          }
        }
        await rm(store, { recursive: true });
      }
    for (const { program, operation, measured } of trials.values())
      figures.push({
        ...{ program, operation, files },
        median: measured.length === 0 ? undefined : medianOfTrials(measured),
      });
    await rm(source, { recursive: true });
  }
  return figures;
}

/** In the order in which they are run on one store. */
function commandsOf(program: ProgramName, store: string, source: string): Record<string, Command> {
  switch (program) {
    case 'cfs-ostree':
      return {
        pull: cfsOstree(store, 'pull', source, GENERATED_REF),
        'create-image': cfsOstree(store, 'create-image', GENERATED_REF),
        gc: cfsOstree(store, 'gc'),
        fsck: cfsOstree(store, 'fsck'),
      };
    case 'cfsctl':
      return {
        pull: cfsctl(store, 'ostree', 'pull-local', source, GENERATED_REF),
        gc: cfsctl(store, 'gc'),
        fsck: cfsctl(store, 'fsck'),
      };
    case 'ostree':
      return {
        pull: ostree(store, 'pull-local', inChroot(source), GENERATED_REF),
        gc: ostree(store, 'prune', '--refs-only'),
        fsck: ostree(store, 'fsck'),
      };
  }
}

/** Undefined, and said, where there is no room for it. */
export async function measureLargeFile(
  { stores, rounds, say }: Study,
  segments = LARGE_FILE_SEGMENTS,
): Promise<GrowthReport['largeFile']> {
  const source = stores.path();
  const place = join(source, '..');
  const { bavail, bsize } = await statfs(place);
  const neededBytes = segments * 2 ** 26 + LARGE_FILE_SPARE_BYTES;
  if (bavail * bsize < neededBytes) {
    say(`large-file is left out: it needs ${Math.ceil(neededBytes / 2 ** 30)} GiB in ${place}`);
    return undefined;
  }
  say('writing a repository with one large file');
  const bytes = writeLargeFile(source, segments);
  const trials: Measurement[] = [];
  for (let round = 0; round < rounds; round++) {
    say(`large-file, round ${round + 1} of ${rounds}`);
    const store = await stores.empty('cfs-ostree');
    trials.push(await measureAll([cfsOstree(store, 'pull', source, GENERATED_REF)]));
    await rm(store, { recursive: true });
  }
  await rm(source, { recursive: true });
  return { bytes, median: medianOfTrials(trials) };
}
