/** mkcomposefs, composefs-info and cfsctl on trees that no vector has: the same images, the same dumps. */

import { link, mkdir, readFile, symlink, truncate, writeFile } from 'node:fs/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseDumpfile, serializeDumpfile } from '../../src/formats/dumpfile.ts';
import { ErofsImage } from '../../src/formats/erofs/reader.ts';
import { chooseErofsVersion, type ErofsVersion, serializeErofs } from '../../src/formats/erofs/writer.ts';
import { fsVerityDigest } from '../../src/formats/fs-verity.ts';
import { type Algorithm, toHex } from '../../src/formats/ids.ts';
import type { Directory } from '../../src/formats/tree.ts';
import { infoDump } from '../formats/erofs/info-dump.ts';
import { type TreeLimits, treeArbitrary } from '../support/arbitrary-tree.ts';
import { runCfsctl } from '../support/cfsctl.ts';
import { runComposefsInfo, runInChroot } from '../support/chroot.ts';
import { describeWithPeers } from '../support/peers.ts';
import { runChecked } from '../support/run-command.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const SHA256 = 'sha256';
const LIMITS = { algorithm: SHA256, maxContentBytes: 5000, maxTargetBytes: 4095 } as const;
const dumpOf = (root: Directory): Uint8Array => new Uint8Array(Buffer.concat([...serializeDumpfile(root)]));
const sample = (limits: TreeLimits, seed: number, numRuns: number): Directory[] =>
  fc.sample(treeArbitrary(limits), { seed, numRuns });

describeWithPeers('mkcomposefs', ['mkcomposefs'], () => {
  test.each([
    ['0', ['--min-version=0', '--max-version=0']],
    ['1', ['--min-version=1', '--max-version=1']],
    ['auto', []],
  ] as const)(
    'random trees, version %s',
    async (version, options) => {
      await using directory = await makeTemporaryDirectory('disk');
      const [dumpPath, imagePath] = [directory.join('dump'), directory.join('image')];
      let same = 0;
      for (const tree of sample({ ...LIMITS, payloads: 'any' }, 20260803, 60)) {
        const dump = dumpOf(tree);
        await writeFile(dumpPath, dump);
        const { exitCode, stderr } = await runInChroot('mkcomposefs', [...options, '--from-file', dumpPath, imagePath]);
        if (exitCode !== 0) {
          expect(isKnownRefusal(stderr, dump), stderr).toBe(true);
          continue;
        }
        const chosen = version === 'auto' ? chooseErofsVersion(tree) : (Number(version) as ErofsVersion);
        const image = serializeErofs(tree, { version: chosen, algorithm: SHA256 });
        expect(Buffer.compare(image, await readFile(imagePath))).toBe(0);
        same++;
      }
      expect(same).toBeGreaterThan(40);
    },
    300_000,
  );
});

/**
 * It counts replaced whiteout marks against the room for xattrs, and takes no more than 65535 bytes of them as text.
 */
function isKnownRefusal(stderr: string, dump: Uint8Array): boolean {
  const text = Buffer.from(dump).toString('latin1');
  const hasMarks = /overlay\.(whiteouts?|opaque)=/.test(text);
  const hasLongLine = text.split('\n').some((line) => line.length > 60_000);
  return (/range/i.test(stderr) && hasMarks) || hasLongLine;
}

describeWithPeers('composefs-info', ['composefs-info'], () => {
  test.each([0, 1] as const)(
    'random trees, version %i',
    async (version) => {
      await using directory = await makeTemporaryDirectory('disk');
      // paths of objects only: its dump of others has stray bytes
      for (const tree of sample({ ...LIMITS, payloads: 'objects' }, 20260804 + version, 25)) {
        const image = serializeErofs(withoutOverlayXattrs(tree), { version, algorithm: SHA256 });
        await writeFile(directory.join('image'), image);
        const opened = ErofsImage.open(image);
        const { stdoutBytes } = await runComposefsInfo(['dump', directory.join('image')]);
        expect(firstDifference(stdoutBytes.toString('latin1'), infoDump(opened))).toBeUndefined();
        const { stdout } = await runComposefsInfo(['objects', directory.join('image')]);
        expect(stdout.split('\n').filter((line) => line !== '')).toEqual(opened.payloads());
      }
    },
    300_000,
  );
});

/**
 * It takes such names for marks of its own wherever they are, and drops the last xattr of an inode when name and value
 * are empty.
 */
function withoutOverlayXattrs(root: Directory): Directory {
  const left = [root];
  for (const directory of left) {
    for (const inode of [directory, ...directory.entries.values()]) {
      inode.xattrs = inode.xattrs.filter(({ name }) => !/overlay|posix_acl/.test(name));
      if (inode.kind === 'directory' && inode !== directory) left.push(inode);
    }
  }
  return root;
}

function firstDifference(actual: string, expected: string): string | undefined {
  const [a, b] = [actual.split('\n'), expected.split('\n')];
  const at = a.findIndex((line, i) => line !== b[i]);
  return at < 0 && a.length === b.length ? undefined : `${a[at]?.slice(-300)}\n${b[at]?.slice(-300)}`;
}

describeWithPeers('cfsctl', ['cfsctl', 'root', 'setfattr'], () => {
  test.each(['sha256', 'sha512'] as const)('a directory, %s', async (algorithm: Algorithm) => {
    await using directory = await makeTemporaryDirectory('disk');
    const root = directory.join('root');
    await makeDirectory(root);
    const arguments_ = ['--no-propagate-usr-to-root', root];
    const { stdoutBytes } = await runCfsctl(['--hash', algorithm, 'create-dumpfile', ...arguments_]);
    const dump = new Uint8Array(stdoutBytes);
    const tree = parseDumpfile(dump);
    expect(Buffer.compare(dumpOf(tree), dump)).toBe(0);
    for (const version of [0, 1, 2] as const) {
      const { stdout } = await runCfsctl([
        ...['--hash', algorithm, '--erofs-version', `${version}`],
        ...['compute-id', ...arguments_],
      ]);
      const image = serializeErofs(tree, { version, algorithm });
      expect(toHex(fsVerityDigest(algorithm, image)), `version ${version}`).toBe(stdout.trim());
    }
  });
});

/** Files of all kinds and sizes, shared and escaped xattrs, a whiteout, hard links, a directory of several blocks. */
async function makeDirectory(root: string): Promise<void> {
  const at = (name: string): string => `${root}/${name}`;
  await mkdir(at('d/e'), { recursive: true });
  await mkdir(at('many'));
  for (let i = 0; i < 700; i++) await writeFile(at(`many/file-${i}-${'x'.repeat(i % 60)}`), 'y'.repeat(i % 64));
  await writeFile(at('f'), 'hello\n');
  await link(at('f'), at('d/link'));
  await symlink('t'.repeat(1000), at('l'));
  for (const size of [1, 64, 65, 4096, 4097, 100_000]) await writeFile(at(`size-${size}`), Buffer.alloc(size, size));
  await writeFile(at('sparse'), '');
  await truncate(at('sparse'), 2 ** 24);
  await runChecked('mknod', [at('null'), 'c', '1', '3']);
  await runChecked('mknod', [at('d/whiteout'), 'c', '0', '0']);
  await runChecked('mknod', [at('disk'), 'b', '8', '300']);
  await runChecked('mkfifo', [at('fifo')]);
  const attributes: Array<[string, string, string[]]> = [
    ['user.shared', 'same', ['f', 'd', 'd/e', 'size-1', 'size-4097']],
    ['user.own', 'one', ['d/e']],
    ['trusted.overlay.opaque', 'y', ['many']], // not beside the whiteout: cfsctl would write the name twice
    ['trusted.zzz', '', ['l']],
    ['security.x', 'y', ['f', 'fifo']],
  ];
  for (const [name, value, paths] of attributes)
    await runChecked('setfattr', ['-h', '-n', name, '-v', value, ...paths.map(at)]);
  await runChecked('chown', ['70000:70001', at('size-65')]);
  await runChecked('touch', ['-h', '-d', '@1.000000007', at('l'), at('f'), at('d')]);
}
