import { describe, expect, test } from 'vitest';
import { GENERATED_REF, writeLargeFile, writeSmallFiles } from '../../bench/generated-repository.ts';
import { runOstree } from '../support/chroot.ts';
import { describeWithPeers } from '../support/peers.ts';
import { runChecked } from '../support/run-command.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

describe('generated commits', () => {
  test('have the same bytes every time', async () => {
    await using directory = await makeTemporaryDirectory('memory');
    const [first, second] = [directory.join('first'), directory.join('second')];
    for (const path of [first, second]) writeSmallFiles(path, 260);
    await runChecked('diff', ['-r', first, second]);
  });
});

describeWithPeers('for ostree, generated commits', ['ostree'], () => {
  test('are whole: small files', async () => {
    await using directory = await makeTemporaryDirectory();
    writeSmallFiles(directory.join('repo'), 510);
    await runOstree([`--repo=${directory.join('repo')}`, 'fsck']);
    const { stdout } = await runOstree([`--repo=${directory.join('repo')}`, 'ls', '-R', GENERATED_REF]);
    expect(stdout.match(/^-00644/gm)).toHaveLength(510);
  });

  test('are whole: a large file', async () => {
    await using directory = await makeTemporaryDirectory();
    expect(writeLargeFile(directory.join('repo'), 1)).toBe(1 << 26);
    await runOstree([`--repo=${directory.join('repo')}`, 'fsck']);
  });
});
