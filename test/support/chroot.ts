/**
 * Programs of the chroot: ostree, mkcomposefs, composefs-info, flatpak. Each run has a mount namespace of its own, so nothing stays
 * mounted. Temporary directories of tests have the same path inside; the host's root directory is at HOST_ROOT.
 */

import { tmpdir } from 'node:os';
import { CHROOT_DIRECTORY, getPeer, type PeerName } from './peers.ts';
import { expectSuccess, type RunOptions, type RunResult, runCommand } from './run-command.ts';

/** `${HOST_ROOT}/usr/share` inside is `/usr/share` of this machine. */
export const HOST_ROOT = '/host';

const ENVIRONMENT = {
  PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  LC_ALL: 'C.UTF-8',
  TZ: 'UTC',
};

// $1 the chroot, $2 the directory of temporary files, then what is to be run. /dev brings /dev/shm along.
const ENTER = `
  root=$1 temporary=$2; shift 2
  mkdir -p "$root${HOST_ROOT}" "$root$temporary"
  mount --rbind / "$root${HOST_ROOT}"
  mount --rbind /dev "$root/dev"
  mount -t proc proc "$root/proc"
  mount --bind "$temporary" "$root$temporary"
  cd /
  exec "$@"`;

/**
 * Command line that runs `command` inside the chroot; for callers that start the process themselves.
 * @param through a program of the host, with its arguments, that starts it: a meter
 */
export function chrootCommand(
  command: readonly string[],
  through: readonly string[] = [],
): [program: string, ...args: string[]] {
  return [
    'unshare',
    '--mount',
    '--propagation',
    'private',
    'sh',
    '-ec',
    ENTER,
    'sh',
    CHROOT_DIRECTORY,
    tmpdir(),
    ...through,
    'chroot',
    CHROOT_DIRECTORY,
    ...command,
  ];
}

/** Resolves whatever the exit status is. `options.cwd` is not for programs inside: give absolute paths. */
export function runInChroot(program: PeerName, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  getPeer(program);
  const [command, ...rest] = chrootCommand([program, ...args]);
  return runCommand(command, rest, {
    ...options,
    env: { ...ENVIRONMENT, ...options.env },
    cwd: '/',
  });
}

async function runCheckedInChroot(
  program: PeerName,
  args: readonly string[],
  options?: RunOptions,
): Promise<RunResult> {
  return expectSuccess([program, ...args].join(' '), await runInChroot(program, args, options));
}

/** Rejects unless the exit status is 0, as all of these do; `runInChroot` is for expected failures. */
export const runOstree = (args: readonly string[], options?: RunOptions): Promise<RunResult> =>
  runCheckedInChroot('ostree', args, options);
export const runMkcomposefs = (args: readonly string[], options?: RunOptions): Promise<RunResult> =>
  runCheckedInChroot('mkcomposefs', args, options);
export const runComposefsInfo = (args: readonly string[], options?: RunOptions): Promise<RunResult> =>
  runCheckedInChroot('composefs-info', args, options);
export const runFlatpak = (args: readonly string[], options?: RunOptions): Promise<RunResult> =>
  runCheckedInChroot('flatpak', args, options);
