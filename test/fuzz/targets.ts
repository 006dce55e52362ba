/** All fuzz targets, and the inputs that earlier runs have left. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FuzzTarget } from './target.ts';

/** Inputs that once were failures, and are read at the start of every run. */
export const SEEDS_DIRECTORY = join(import.meta.dirname, 'seeds');
/** Failures of runs on this machine; one that is understood moves to the seeds. */
export const CRASHES_DIRECTORY = join(import.meta.dirname, 'crashes');

const MODULE = /^targets-.*\.ts$/;

/** Which module has which targets: a run loads only the module that it needs. */
export async function listTargets(): Promise<Array<{ name: string; module: string }>> {
  const modules = readdirSync(import.meta.dirname).filter((file) => MODULE.test(file));
  const found = await Promise.all(
    modules.map(async (module) => (await importTargets(module)).map(({ name }) => ({ name, module }))),
  );
  const all = found.flat().sort((a, b) => (a.name < b.name ? -1 : 1));
  const twice = all.find(({ name }, i) => name === all[i + 1]?.name);
  if (twice !== undefined) throw new Error(`there are two fuzz targets ${twice.name}`);
  return all;
}

export async function loadTarget(module: string, name: string): Promise<FuzzTarget> {
  const target = (await importTargets(module)).find((one) => one.name === name);
  if (target === undefined) throw new Error(`${module} has no target ${name}`);
  return {
    ...target,
    seeds: [...target.seeds, ...savedInputs(SEEDS_DIRECTORY, name), ...savedInputs(CRASHES_DIRECTORY, name)],
  };
}

const importTargets = async (module: string): Promise<FuzzTarget[]> =>
  ((await import(join(import.meta.dirname, module))) as { targets: FuzzTarget[] }).targets;

function savedInputs(directory: string, target: string): Uint8Array[] {
  const own = join(directory, target);
  try {
    return readdirSync(own)
      .sort()
      .map((file) => new Uint8Array(readFileSync(join(own, file))));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
