/** Command lines of the programs that are compared. */

import { fileURLToPath } from 'node:url';
import { HOST_ROOT, runInChroot, runOstree } from '../test/support/chroot.ts';
import { getPeer, type PeerName } from '../test/support/peers.ts';
import { expectSuccess, runChecked } from '../test/support/run-command.ts';

export type ProgramName = 'cfs-ostree' | 'cfsctl' | 'ostree';

export interface Command {
  /** The program and its arguments. For a peer of the chroot: its name there, and paths as they are seen there (`inChroot`). */
  args: string[];
  chrootPeer?: PeerName;
  /** Added to the environment. */
  env?: Record<string, string>;
  /** Where its output goes, which is kept back otherwise. */
  stdoutFile?: string;
}

export const inTree = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));

/** With the addon, without progress. */
export const cfsOstree = (repo: string, ...args: string[]): Command => ({
  args: [process.execPath, inTree('bin/cfs-ostree.js'), ...args, '--repo', repo, '--quiet'],
});
export const cfsctl = (repo: string, ...args: string[]): Command => ({
  args: [getPeer('cfsctl'), '--repo', repo, ...args],
});
export const ostree = (repo: string, ...args: string[]): Command => ({
  args: ['ostree', `--repo=${inChroot(repo)}`, ...args],
  chrootPeer: 'ostree',
});
export const mkcomposefs = (...args: string[]): Command => ({
  args: ['mkcomposefs', ...args],
  chrootPeer: 'mkcomposefs',
});

/** The same, with another current directory. */
export const startedIn = (directory: string, command: Command): Command => ({
  ...command,
  args: ['env', '-C', directory, ...command.args],
});

/** Everything of this machine is there too. */
export const inChroot = (path: string): string => `${HOST_ROOT}${path}`;

/** Runs it unmeasured. @throws Error unless the exit status is 0 */
export async function run({ args: [program, ...args], chrootPeer, env }: Command): Promise<void> {
  if (chrootPeer === undefined) await runChecked(program, args, { env: { ...process.env, ...env } });
  else expectSuccess([program, ...args].join(' '), await runInChroot(chrootPeer, args, { env }));
}

export async function versionOf(name: ProgramName | 'nginx'): Promise<string> {
  if (name === 'nginx') return (await runChecked(getPeer(name), ['-v'])).stderr.trim().replace(/^.*nginx\//, '');
  if (name === 'ostree') return /Version: '(.*)'/.exec((await runOstree(['--version'])).stdout)?.[1] ?? '';
  const [program, ...args] = name === 'cfsctl' ? [getPeer(name)] : [process.execPath, inTree('bin/cfs-ostree.js')];
  return (await runChecked(program, [...args, '--version'])).stdout.trim().replace(/^\S+ /, '');
}
