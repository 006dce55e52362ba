/**
 * Programs that we did not write and compare ourselves with. A test that needs one which is not there is skipped and says
 * which package has it; with CFS_OSTREE_REQUIRE_PEERS=1 (as in .ci/run) it fails instead. scripts/ci-peers.sh installs them all.
 */

import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { describe, test } from 'vitest';

/** Where scripts/ci-peers.sh puts what is not installed system-wide; the same rule stands there. */
export const PEERS_DIRECTORY = join(process.env.XDG_CACHE_HOME || '/var/cache', 'cfs-ostree-peers');
/** Root directory of a Debian with a current ostree, composefs and flatpak. */
export const CHROOT_DIRECTORY = join(PEERS_DIRECTORY, 'forky');
export const KERNEL_DIRECTORY = join(PEERS_DIRECTORY, 'kernel');

interface Peer {
  /** What to look for: a name on PATH or an absolute path. */
  program: string;
  /** How a reader gets it. */
  origin: string;
  needsRoot?: boolean;
}

const debian = (program: string, name: string): Peer => ({
  program,
  origin: `Debian package ${name}`,
});
const inChroot = (program: string, name: string): Peer => ({
  program: join(CHROOT_DIRECTORY, 'usr/bin', program),
  origin: `Debian package ${name} of forky, by scripts/ci-peers.sh`,
  needsRoot: true, // to enter a chroot
});

const PEERS = {
  nginx: debian('nginx', 'nginx-light'),
  openssl: debian('openssl', 'openssl'),
  'g++': debian('g++', 'g++'),
  fsverity: debian('fsverity', 'fsverity'),
  'fsck.erofs': debian('fsck.erofs', 'erofs-utils'),
  'dump.erofs': debian('dump.erofs', 'erofs-utils'),
  'mkfs.erofs': debian('mkfs.erofs', 'erofs-utils'),
  getfattr: debian('getfattr', 'attr'),
  setfattr: debian('setfattr', 'attr'),
  setfacl: debian('setfacl', 'acl'),
  strace: debian('strace', 'strace'),
  chromium: debian('chromium', 'chromium'),
  python3: debian('python3', 'python3'),
  mke2fs: debian('mke2fs', 'e2fsprogs'),
  debugfs: debian('debugfs', 'e2fsprogs'),
  filefrag: debian('filefrag', 'e2fsprogs'),
  qemu: debian('qemu-system-x86_64', 'qemu-system-x86'),
  ostree: inChroot('ostree', 'ostree'),
  mkcomposefs: inChroot('mkcomposefs', 'composefs'),
  'composefs-info': inChroot('composefs-info', 'composefs'),
  flatpak: inChroot('flatpak', 'flatpak'),
  cfsctl: {
    program: join(PEERS_DIRECTORY, 'cfsctl/bin/cfsctl'),
    origin: 'crate composefs-ctl, by scripts/ci-peers.sh',
  },
  kernel: {
    program: join(KERNEL_DIRECTORY, 'vmlinuz'),
    origin: 'Debian package linux-image-cloud-amd64 of trixie, by scripts/ci-peers.sh',
  },
  busybox: {
    program: join(KERNEL_DIRECTORY, 'busybox'),
    origin: 'Debian package busybox-static, by scripts/ci-peers.sh',
  },
  /** No program: the right to mount, to chown and to enter namespaces. */
  root: { program: '/', origin: '', needsRoot: true },
} as const satisfies Record<string, Peer>;

export type PeerName = keyof typeof PEERS;

const IS_ROOT = process.getuid?.() === 0;
const SEARCH_PATH = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'].filter(
  (folder) => folder !== '',
);

/** Path of the program, or undefined where it is missing or of no use to this user. */
export function findPeer(name: PeerName): string | undefined {
  const peer: Peer = PEERS[name];
  if (peer.needsRoot && !IS_ROOT) return undefined;
  const candidates = peer.program.startsWith('/')
    ? [peer.program]
    : SEARCH_PATH.map((folder) => join(folder, peer.program));
  return candidates.find(isReadable);
}

/** @throws Error that names the package */
export function getPeer(name: PeerName): string {
  const path = findPeer(name);
  if (path === undefined) throw new Error(describeMissing(name));
  return path;
}

/** `describe` for tests that need peers. With one missing, a single test stands for them all and is skipped, or fails where peers are required. */
export function describeWithPeers(title: string, needed: readonly PeerName[], body: () => void): void {
  const missing = needed.filter((name) => findPeer(name) === undefined);
  if (missing.length === 0) {
    describe(title, body);
    return;
  }
  const note = [...new Set(missing.map(describeMissing))].join('; ');
  describe(title, () => {
    test(note, (context) => {
      if (process.env.CFS_OSTREE_REQUIRE_PEERS === '1') throw new Error(note);
      context.skip(note);
    });
  });
}

function describeMissing(name: PeerName): string {
  const peer: Peer = PEERS[name];
  return peer.needsRoot && !IS_ROOT ? 'needs root' : `needs ${name} (${peer.origin})`;
}

function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}
