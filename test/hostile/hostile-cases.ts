/** The cases of test/vectors/hostile as files on disk. */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { runChecked } from '../support/run-command.ts';
import { readVector, readVectorJson, vectorPath } from '../support/vectors.ts';

export interface HostileCase {
  id: string;
  category: string;
  verdict: 'reject' | 'may-reject' | 'accept';
  reason: string;
  dir: string;
  files: { repo?: string; config?: string; image?: string; dump?: string };
  object_type?: 'commit' | 'dirtree' | 'dirmeta' | 'file';
  object_name?: string;
  expected_digest?: string;
  actual_digest?: string;
}

/** The ref that leads to the bad object. */
export const HOSTILE_REF = 'hostile';

const cases = readVectorJson<{ cases: HostileCase[] }>('hostile/expected.json').cases;

export function casesOf(category: string): HostileCase[] {
  const found = cases.filter((one) => one.category === category);
  if (found.length === 0) throw new Error(`no hostile vectors of category ${category}`);
  return found;
}

/** Below `parent`; as root, with owners and attributes. @returns path of the ostree repository */
export async function unpackRepository({ id, dir, files }: HostileCase, parent: string): Promise<string> {
  const path = join(parent, id);
  await mkdir(join(path, 'objects'), { recursive: true });
  const flags = ['--xattrs', '--xattrs-include=*', '--numeric-owner', '-xpzf'];
  if (files.repo !== undefined)
    await runChecked('tar', [...flags, vectorPath(`hostile/${dir}/${files.repo}`), '-C', path]);
  if (files.config !== undefined) await writeFile(join(path, 'config'), readVector(`hostile/${dir}/${files.config}`));
  return path;
}

/** @returns path of the image */
export async function unpackImage({ id, dir, files }: HostileCase, parent: string): Promise<string> {
  const path = join(parent, id);
  await writeFile(path, gunzipSync(readVector(`hostile/${dir}/${files.image}`)));
  return path;
}

export const dumpfilePath = ({ dir, files }: HostileCase): string => vectorPath(`hostile/${dir}/${files.dump}`);
