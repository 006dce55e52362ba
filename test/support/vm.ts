/**
 * A virtual machine whose kernel has fs-verity: QEMU without KVM, everything in an initramfs made for the run, and optionally one
 * ext4 disk. About six seconds from start to end; computing is some eight times slower in there, system calls twenty times.
 */

import { chmod, copyFile, cp, mkdir, open, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { getPeer, KERNEL_DIRECTORY, type PeerName } from './peers.ts';
import { runChecked, runCommand } from './run-command.ts';
import { makeTemporaryDirectory } from './temporary-directory.ts';

/** What `describeWithPeers` needs for `runInVm` and the disk functions. */
export const VM_PEERS = ['qemu', 'kernel', 'busybox', 'fsverity', 'mke2fs', 'debugfs'] as const satisfies PeerName[];
/** Where the disk is mounted inside. */
export const VM_DISK = '/disk';

export interface VmFile {
  from: string;
  /** Absolute path inside. A directory is copied with all that is in it. */
  to: string;
}

export interface VmOptions {
  /** For busybox sh. In there: Node as `node`, `fsverity`, every busybox command; /tmp is a tmpfs. */
  script: string;
  files?: readonly VmFile[];
  /** Image made by `makeVerityDisk`, mounted at VM_DISK; what the script changes stays in it. */
  disk?: string;
  timeoutMs?: number;
}

export interface VmResult {
  exitCode: number;
  /** stdout and stderr of the script. */
  output: string;
  /** What the kernel said on its console. */
  kernelLog: string;
}

const DEFAULT_TIMEOUT_MS = 180_000;
const MEMORY_MIB = 1536;
const FS_BLOCK_BYTES = 4096;
/** The rest (ext4, fs-verity, virtio console) is built into Debian's cloud kernel. */
const MODULES = ['virtio_blk', 'erofs', 'overlay', 'loop'];

const INIT = `#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /run /root /mnt ${VM_DISK}
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
while read module; do insmod "/modules/$module"; done </modules/order
for port in /sys/class/virtio-ports/*; do ln -s "/dev/\${port##*/}" "/run/$(cat "$port/name")"; done
if [ -b /dev/vda ]; then mount -t ext4 /dev/vda ${VM_DISK}; fi
export PATH=/bin:/usr/bin:/sbin:/usr/sbin HOME=/root LC_ALL=C.UTF-8
cd /root
{ sh /script; echo $? >/run/exit-code; } </dev/null 2>&1 | cat >/run/output
if [ -b /dev/vda ]; then umount ${VM_DISK}; fi
sync
cat /run/exit-code >/run/status
poweroff -f
`;

/** Rejects when the machine does not come up, dies, or outlives its time; what the script returned is in the result. */
export async function runInVm(options: VmOptions): Promise<VmResult> {
  await using scratch = await makeTemporaryDirectory();
  const initramfs = await makeInitramfs(scratch.join('root'), scratch.join('initramfs'), options);
  const [output, status] = [scratch.join('output'), scratch.join('status')];
  const port = (name: string, file: string): string[] => [
    '-chardev',
    `file,id=${name},path=${file}`,
    '-device',
    `virtserialport,chardev=${name},name=${name}`,
  ];
  const disk = options.disk === undefined ? [] : ['-drive', `file=${options.disk},format=raw,if=virtio,cache=unsafe`];
  const machine = await runCommand(
    getPeer('qemu'),
    [
      // cx16: QEMU 7.2 emulates cmpxchg16b in a way that makes Linux 6.12 fail at random
      ...['-M', 'q35', '-accel', 'tcg', '-cpu', 'max,-cx16', '-smp', '1', '-m', String(MEMORY_MIB)],
      ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-serial', 'stdio'],
      ...['-device', 'virtio-serial-pci', ...port('output', output), ...port('status', status), ...disk],
      ...['-kernel', join(KERNEL_DIRECTORY, 'vmlinuz'), '-initrd', initramfs],
      ...['-append', 'console=ttyS0 quiet panic=-1'],
    ],
    { timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS },
  );
  const [outputText, statusText] = [await readOrEmpty(output), await readOrEmpty(status)];
  if (!/^\d+\n$/.test(statusText))
    throw new Error(`the virtual machine ended early\n${machine.stderr}\n${machine.stdout}\n${outputText}`);
  return { exitCode: Number(statusText), output: outputText, kernelLog: machine.stdout };
}

async function makeInitramfs(root: string, archive: string, { script, files = [] }: VmOptions): Promise<string> {
  await mkdir(join(root, 'bin'), { recursive: true });
  await copyFile(getPeer('busybox'), join(root, 'bin/busybox'));
  await copyProgram(root, process.execPath, '/usr/bin/node');
  await copyProgram(root, getPeer('fsverity'), '/usr/bin/fsverity');
  await copyModules(join(root, 'modules'));
  for (const { from, to } of files)
    await cp(from, join(root, to), { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
  await writeFile(join(root, 'script'), script);
  await writeFile(join(root, 'init'), INIT);
  await chmod(join(root, 'init'), 0o755);
  const pack = 'cd "$1" && find . | "$2" cpio -o -H newc -R 0:0 >"$3"';
  await runChecked('sh', ['-ec', pack, 'sh', root, getPeer('busybox'), archive]);
  return archive;
}

/** The program and every library that the loader would load for it, the latter at the paths they have here. */
async function copyProgram(root: string, program: string, to: string): Promise<void> {
  const { stdout } = await runChecked('ldd', [program]);
  const libraries = stdout.split('\n').flatMap((line) => /(?:=> |^\s*)(\/\S+)/.exec(line)?.[1] ?? []);
  for (const [from, place] of [[program, to], ...libraries.map((library) => [library, library])]) {
    await mkdir(dirname(join(root, place)), { recursive: true });
    await copyFile(from, join(root, place));
    await chmod(join(root, place), 0o755);
  }
}

/** Modules and what they depend on, with a file `order` that lists them as they have to be loaded. */
async function copyModules(folder: string): Promise<void> {
  const entries = await readdir(join(KERNEL_DIRECTORY, 'modules'), { recursive: true });
  const pathOf = new Map(
    entries
      .filter((entry) => entry.endsWith('.ko'))
      .map((entry) => [moduleName(entry), join(KERNEL_DIRECTORY, 'modules', entry)]),
  );
  const order: string[] = [];
  const add = async (name: string): Promise<void> => {
    const path = pathOf.get(name);
    if (path === undefined) throw new Error(`the kernel in ${KERNEL_DIRECTORY} has no module ${name}`);
    // packages carry no modules.dep: the dependencies stand in the module itself
    const depends = /\0depends=([^\0]*)\0/.exec((await readFile(path)).toString('latin1'))?.[1] ?? '';
    for (const dependency of depends.split(',')) if (dependency !== '') await add(moduleName(dependency));
    if (!order.includes(`${name}.ko`)) order.push(`${name}.ko`);
    await copyFile(path, join(folder, `${name}.ko`));
  };
  await mkdir(folder, { recursive: true });
  for (const name of MODULES) await add(name);
  await writeFile(join(folder, 'order'), `${order.join('\n')}\n`);
}

const moduleName = (path: string): string => basename(path, '.ko').replaceAll('-', '_');

const readOrEmpty = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');

/** An ext4 image with fs-verity allowed, `contents` (a directory) in it. */
export async function makeVerityDisk(path: string, sizeMib: number, contents?: string): Promise<void> {
  const from = contents === undefined ? [] : ['-d', contents];
  const format = ['-q', '-t', 'ext4', '-O', 'verity', '-b', String(FS_BLOCK_BYTES)];
  await runChecked(getPeer('mke2fs'), [...format, ...from, path, `${sizeMib}M`]);
}

/** Flips the lowest bit of one byte of a file on a disk that is not in use. `file` is relative to the disk's root. */
export async function flipBitOnDisk(disk: string, file: string, offsetBytes: number): Promise<void> {
  const request = `bmap ${file} ${Math.floor(offsetBytes / FS_BLOCK_BYTES)}`;
  const { stdout } = await runChecked(getPeer('debugfs'), ['-R', request, disk]);
  const block = Number(stdout.trim());
  if (!(block > 0)) throw new Error(`${request}: ${stdout}`);
  const position = block * FS_BLOCK_BYTES + (offsetBytes % FS_BLOCK_BYTES);
  if (position >= (await stat(disk)).size) throw new Error(`${file}: block ${block} is not on the disk`);
  const handle = await open(disk, 'r+');
  try {
    const byte = Buffer.alloc(1);
    await handle.read(byte, 0, 1, position);
    await handle.write(Buffer.of(byte[0] ^ 1), 0, 1, position);
  } finally {
    await handle.close();
  }
}
