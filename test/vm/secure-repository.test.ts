/** The product on a kernel with fs-verity: what it promises of a secure repository, from init to a flipped bit. */

import { chmod, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runOstree } from '../support/chroot.ts';
import { describeWithPeers } from '../support/peers.ts';
import { runChecked } from '../support/run-command.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { flipBitOnDisk, makeVerityDisk, runInVm, VM_DISK, VM_PEERS, type VmFile } from '../support/vm.ts';

const TREE = join(import.meta.dirname, '../..');
const TIMEOUT_MS = 600_000;
const REF = 'os/smoke';
const FLIPPED = 'usr/lib/library-7';
const MEASURED_SIZES = [1000, 4096, 5000, 70_000];

/** Prints every entry below a directory with what can be read of it: node walk.cjs DIR */
const WALK = `
const walk = (path, name) => {
  const status = fs.lstatSync(path);
  const entry = { name, mode: status.mode.toString(8), uid: status.uid, gid: status.gid };
  if (status.isSymbolicLink()) entry.target = fs.readlinkSync(path);
  if (status.isFile())
    try { entry.sha256 = require('node:crypto').createHash('sha256').update(fs.readFileSync(path)).digest('hex'); }
    catch (error) { entry.error = error.code; }
  console.log(JSON.stringify(entry));
  if (status.isDirectory()) for (const child of fs.readdirSync(path).sort()) walk(path + '/' + child, name + '/' + child);
};
const fs = require('node:fs');
walk(process.argv[2], '');
`;

/** `cfs COMMAND …` prints the JSON result as one line. */
const PRELUDE = `set -e
cfs() {
  node /app/bin/cfs-ostree.js --repo ${VM_DISK}/repo --no-progress --json "$@" >/tmp/result || return $?
  node -p 'JSON.stringify(JSON.parse(fs.readFileSync("/tmp/result")))'
}`;
const FIRST_BOOT = `${PRELUDE}
cfs init ${VM_DISK}/repo
cfs pull ${VM_DISK}/source ${REF}
cfs create-image ${REF}
fsverity measure ${VM_DISK}/repo/images/$(node -p 'JSON.parse(fs.readFileSync("/tmp/result")).image')
cfs mount ${REF} /mnt --require-verity
cfs ls ${REF} /${FLIPPED}
cfs fsck
node /walk.cjs /mnt
cfs umount /mnt >/dev/null`;
const SECOND_BOOT = `${PRELUDE}
cfs mount ${REF} /mnt --require-verity
cfs fsck || echo $?
tr -d '\\n' </tmp/result
echo
node /walk.cjs /mnt`;

describeWithPeers('a secure repository', [...VM_PEERS, 'ostree'], () => {
  test('is pulled, mounted and read, and shows a flipped bit', { timeout: TIMEOUT_MS }, async () => {
    await using directory = await makeTemporaryDirectory();
    const [tree, contents, disk, walk] = ['tree', 'contents', 'disk', 'walk.cjs'].map((name) => directory.join(name));
    await makeTree(tree);
    await mkdir(contents);
    await runOstree(['init', `--repo=${contents}/source`, '--mode=archive']);
    const ownership = ['--owner-uid=0', '--owner-gid=0'];
    await runOstree(['commit', `--repo=${contents}/source`, '-b', REF, `--tree=dir=${tree}`, ...ownership]);
    await makeVerityDisk(disk, 64, contents);
    await writeFile(walk, WALK);
    const files = [...(await productFiles('/app')), { from: walk, to: '/walk.cjs' }];
    const entries = (await runChecked(process.execPath, [walk, tree])).stdout.trim().split('\n');

    const first = await runInVm({ script: FIRST_BOOT, files, disk, timeoutMs: TIMEOUT_MS });
    expect(first, first.output).toMatchObject({ exitCode: 0 });
    const [init, pulled, image, measured, mounted, listed, checked, ...found] = first.output.trim().split('\n');
    expect(JSON.parse(init)).toMatchObject({ algorithm: 'fsverity-sha512-12', insecure: false, created: true });
    expect(JSON.parse(pulled)).toMatchObject({ results: [{ ref: REF, upToDate: false }] });
    const { image: imageId } = JSON.parse(image);
    expect(measured).toContain(`sha512:${imageId} `);
    expect(JSON.parse(mounted)).toMatchObject({ image: imageId, mountpoint: '/mnt', verity: true });
    expect(JSON.parse(checked)).toMatchObject({ ok: true, findings: [] });
    expect(found).toEqual(entries);

    const [{ object }] = JSON.parse(listed);
    const objectPath = `objects/${object.slice(0, 2)}/${object.slice(2)}`;
    await flipBitOnDisk(disk, `repo/${objectPath}`, 5000);
    const second = await runInVm({ script: SECOND_BOOT, files, disk, timeoutMs: TIMEOUT_MS });
    const [, status, damaged, ...foundAgain] = second.output.trim().split('\n');
    expect(status, second.output).toBe('3');
    const finding = { severity: 'error', kind: 'object-verity-failed', subject: objectPath, refs: [REF] };
    expect(JSON.parse(damaged)).toMatchObject({ ok: false, findings: [finding] });
    const changed = foundAgain.filter((line) => !entries.includes(line)).map((line) => JSON.parse(line));
    expect(changed).toMatchObject([{ name: `/${FLIPPED}`, error: 'EIO' }]);
    expect(foundAgain).toHaveLength(entries.length);
  });
});

async function makeTree(tree: string): Promise<void> {
  await mkdir(join(tree, 'usr/lib'), { recursive: true });
  await mkdir(join(tree, 'usr/bin'));
  for (let number = 0; number < 40; number++) {
    const sizeBytes = MEASURED_SIZES[number % MEASURED_SIZES.length];
    await writeFile(join(tree, `usr/lib/library-${number}`), Buffer.alloc(sizeBytes, `library ${number}\n`));
  }
  await writeFile(join(tree, 'usr/bin/tool'), Buffer.alloc(300_000, 'tool'));
  await chmod(join(tree, 'usr/bin/tool'), 0o4755);
  await writeFile(join(tree, 'usr/bin/small'), 'kept in the image itself\n');
  await writeFile(join(tree, 'usr/bin/empty'), '');
  await symlink('usr/bin', join(tree, 'bin'));
}

/** The built program with its addon and dependencies, as the package has them. */
async function productFiles(to: string): Promise<VmFile[]> {
  const { dependencies } = JSON.parse(await readFile(join(TREE, 'package.json'), 'utf8'));
  const addons = (await readdir(join(TREE, 'native/build'))).filter((name) => name.endsWith('.node'));
  const paths = [
    ...['package.json', 'bin', 'program', 'dist'],
    ...addons.map((name) => `native/build/${name}`),
    ...Object.keys(dependencies).map((name) => `node_modules/${name}`),
  ];
  return paths.map((path) => ({ from: join(TREE, path), to: join(to, path) }));
}
