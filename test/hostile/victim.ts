/** Our side of an attack: the built program, measured, and a repository of ours that must come out of it whole. */

import { copyFile, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { cliEnvironment, ensureBuilt, PROGRAM, runCliJson } from '../cli/run-cli.ts';
import { type MeasuredResult, runMeasured } from '../support/measured-run.ts';
import { sharedFixture } from '../support/run-directory.ts';

/** What no input may make us take. */
export const MAX_PEAK_BYTES = 512 * 2 ** 20;
/** An input of a few kilobytes that takes longer has found a loop. */
const MAX_CPU_SECONDS = 20;

export const NO_ADDON = { CFS_OSTREE_NO_ADDON: '1' };

/** Runs the program; time and memory are checked here. */
export async function attack(args: string[], env: NodeJS.ProcessEnv = {}): Promise<MeasuredResult> {
  await ensureBuilt();
  const result = await runMeasured(process.execPath, [PROGRAM, ...args], {
    env: cliEnvironment(env),
    maxCpuSeconds: MAX_CPU_SECONDS,
  });
  expect(result.peakBytes, `peak memory of ${args.join(' ')}`).toBeLessThan(MAX_PEAK_BYTES);
  return result;
}

export interface JsonError {
  code: string;
  message: string;
  where?: { file?: string; object?: string; format?: string; field?: string; offset?: number };
}

/** The error object, which is all that a failed command leaves: stdout stays empty. */
export function readError({ stdout, stderr }: MeasuredResult): JsonError {
  expect(stdout).toBe('');
  const lines = stderr.trim().split('\n');
  return (JSON.parse(lines[lines.length - 1]) as { error: JsonError }).error;
}

export class Victim {
  readonly path: string;
  constructor(path: string) {
    this.path = path;
  }

  /** A fresh insecure repository at `path`. */
  static async make(path: string): Promise<Victim> {
    const template = await sharedFixture('victim', async (directory) => {
      await runCliJson(['init', '--insecure', directory]);
      return directory;
    });
    await mkdir(path, { recursive: true });
    await copyFile(join(template, 'meta.json'), join(path, 'meta.json'));
    return new Victim(path);
  }

  pull(source: string, ref: string, env: NodeJS.ProcessEnv = {}): Promise<MeasuredResult> {
    return attack(['--json', '--repo', this.path, 'pull', source, ref], env);
  }

  /** Names of streams, images and their refs. */
  async names(): Promise<string[]> {
    return [...(await filesBelow(this.path, 'streams')), ...(await filesBelow(this.path, 'images'))];
  }

  /** Nothing that looks like something: no name, no temporary. Objects without a name may stay until the next gc. */
  async expectNothingLeft(): Promise<void> {
    expect(await this.names()).toEqual([]);
    expect(await this.temporaries()).toEqual([]);
  }

  async temporaries(): Promise<string[]> {
    const names = [...(await readdir(this.path)), ...(await readdirIfThere(join(this.path, 'objects')))];
    return names.filter((name) => name.startsWith('.'));
  }

  async expectClean(): Promise<void> {
    const report = await runCliJson<{ ok: boolean }>(['--repo', this.path, 'fsck']);
    expect(report).toMatchObject({ ok: true, findings: [] });
  }
}

async function filesBelow(root: string, name: string): Promise<string[]> {
  const directory = join(root, name);
  const entries = await readdirIfThere(directory);
  if (entries.length === 0) return [];
  return (await readdir(directory, { recursive: true, withFileTypes: true }))
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1));
}

const readdirIfThere = (path: string): Promise<string[]> =>
  readdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
