/** The virtual machine itself: that its kernel has what the product needs, and that results come back. */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { describeWithPeers, getPeer } from '../support/peers.ts';
import { runChecked } from '../support/run-command.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { flipBitOnDisk, makeVerityDisk, runInVm, VM_PEERS } from '../support/vm.ts';

const TIMEOUT_MS = 240_000;

const READ_PAGES = `
  const file = fs.openSync("/disk/file");
  for (let page = 0; page < 5; page++)
    try { fs.readSync(file, Buffer.alloc(4096), 0, 4096, page * 4096); }
    catch (error) { console.log("page " + page + ": " + error.code); }`;

describeWithPeers('the virtual machine', [...VM_PEERS, 'mkfs.erofs'], () => {
  test('runs a script with Node in it, and returns output and exit status', { timeout: TIMEOUT_MS }, async () => {
    await using directory = await makeTemporaryDirectory();
    await mkdir(directory.join('given/below'), { recursive: true });
    await writeFile(directory.join('given/below/file'), 'from outside');
    const script = `
      node -e 'console.log(process.version, fs.readFileSync("/given/below/file", "utf8"))'
      echo to stderr >&2
      exit 7`;
    const result = await runInVm({ script, files: [{ from: directory.join('given'), to: '/given' }] });
    expect(result).toMatchObject({ exitCode: 7, output: `${process.version} from outside\nto stderr\n` });
  });

  test('has fs-verity, which sees a flipped bit', { timeout: TIMEOUT_MS }, async () => {
    await using directory = await makeTemporaryDirectory();
    const [contents, disk] = [directory.join('contents'), directory.join('disk')];
    await mkdir(contents);
    await writeFile(join(contents, 'file'), Buffer.alloc(20_000, 'verity'));
    await makeVerityDisk(disk, 32, contents);
    const computed = await runChecked(getPeer('fsverity'), ['digest', '--compact', join(contents, 'file')]);
    const first = await runInVm({
      disk,
      script: 'set -e; fsverity enable /disk/file; fsverity measure /disk/file; cat /disk/file | wc -c',
    });
    expect(first).toMatchObject({ exitCode: 0, output: `sha256:${computed.stdout.trim()} /disk/file\n20000\n` });

    await flipBitOnDisk(disk, 'file', 10_000);
    const second = await runInVm({
      disk,
      script: `node -e '${READ_PAGES}'; dmesg | grep -c "FILE CORRUPTED! pos=8192"`,
    });
    expect(second.output).toMatch(/^page 2: EIO\n[1-9]\d*\n$/);
  });

  test('mounts EROFS', { timeout: TIMEOUT_MS }, async () => {
    await using directory = await makeTemporaryDirectory();
    await mkdir(directory.join('contents'));
    await writeFile(directory.join('contents/file'), 'in an image');
    await runChecked(getPeer('mkfs.erofs'), [directory.join('image'), directory.join('contents')]);
    const script = 'set -e; mount -t erofs -o loop,ro /image /mnt; cat /mnt/file';
    const result = await runInVm({ script, files: [{ from: directory.join('image'), to: '/image' }] });
    expect(result).toMatchObject({ exitCode: 0, output: 'in an image' });
  });
});
