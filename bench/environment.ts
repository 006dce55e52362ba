/** On what the figures were taken. */

import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { findPeer } from '../test/support/peers.ts';
import { runChecked } from '../test/support/run-command.ts';
import { type ProgramName, versionOf } from './programs.ts';

const PROGRAMS: ReadonlyArray<ProgramName | 'nginx'> = ['cfs-ostree', 'cfsctl', 'ostree', 'nginx'];

export interface Environment {
  cpu: string;
  cores: number;
  memoryBytes: number;
  kernel: string;
  /** Where the stores are. */
  fileSystem: string;
  /** Of those that are there. */
  versions: Record<string, string>;
}

export async function describeEnvironment(work: string): Promise<Environment> {
  const versions: Record<string, string> = {};
  for (const name of PROGRAMS)
    if (name === 'cfs-ostree' || findPeer(name) !== undefined) versions[name] = await versionOf(name);
  versions.Node = process.versions.node;
  return {
    cpu: cpus()[0].model,
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    kernel: release(),
    fileSystem: await fileSystemOf(work),
    versions,
  };
}

async function fileSystemOf(path: string): Promise<string> {
  const { stdout } = await runChecked('df', ['--output=fstype', path]);
  return stdout.trim().split('\n')[1];
}

export function formatEnvironment({ cpu, cores, memoryBytes, kernel, fileSystem, versions }: Environment): string {
  const programs = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const machine = `${cores} × ${cpu}, ${Math.round(memoryBytes / 2 ** 30)} GiB, Linux ${kernel}, ${fileSystem}`;
  return `${machine}; ${programs.join(', ')}`;
}
