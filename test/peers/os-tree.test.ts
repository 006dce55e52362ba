/** The fixture that many tests stand on: that it holds what it promises, and that the comparer sees every kind of difference. */

import { chmod, chown, mkdir, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { runOstree } from '../support/chroot.ts';
import { AWKWARD_REF, CANONICAL_REF, OS_TREE_PEERS, osTree } from '../support/os-tree.ts';
import { describeWithPeers } from '../support/peers.ts';
import { runChecked } from '../support/run-command.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { asCommitted, compareTrees, listTree } from '../support/tree-compare.ts';

/** `ostree checkout` makes empty files afresh, with the time of day. */
const isTimeOfEmptyFile = (line: string): boolean =>
  /^\/(empty|sizes)\/(a|b|c|0|owned-0): mtimeNanoseconds /.test(line);

describeWithPeers('the awkward tree', OS_TREE_PEERS, () => {
  test('is in every repository, with its history', async () => {
    const { repositories, first, awkward, canonical } = await osTree();
    for (const mode of ['archive', 'bare', 'bare-user'] as const) {
      const log = await runOstree(['log', `--repo=${repositories[mode]}`, AWKWARD_REF]);
      expect(log.stdout.match(/^commit (.*)$/gm)).toEqual([`commit ${awkward}`, `commit ${first}`]);
    }
    for (const mode of ['archive', 'bare-user-only'] as const) {
      const { stdout } = await runOstree(['rev-parse', `--repo=${repositories[mode]}`, CANONICAL_REF]);
      expect(stdout.trim()).toBe(canonical);
    }
  });

  test('comes out of ostree as it went in, but for times', async () => {
    await using directory = await makeTemporaryDirectory();
    const { tree, repositories } = await osTree();
    await runOstree(['checkout', `--repo=${repositories.bare}`, AWKWARD_REF, directory.join('out')]);
    const differences = await compareTrees(tree, directory.join('out'), asCommitted);
    expect(differences.filter((line) => !isTimeOfEmptyFile(line))).toEqual([]);
  });

  test('has what others get wrong', async () => {
    const entries = await listTree((await osTree()).tree);
    const paths = [...entries.keys()];
    expect(paths.filter((path) => path.startsWith('/many/'))).toHaveLength(5000);
    expect(Math.max(...paths.map((path) => path.split('/').length))).toBe(202); // 200 directories and a file
    expect(entries.get('/modes/file-4755')).toMatchObject({ mode: '4755' });
    expect(entries.get('/owners/4294967294')).toMatchObject({ uid: 4294967294, mode: '4750' });
    expect(entries.get('/xattrs/opaque')?.xattrs).toEqual({ 'trusted.overlay.opaque': '79' });
    expect(entries.get('/symlinks/dressed')?.xattrs).toHaveProperty(['security.of-link'], 'ff00');
    expect(entries.get('/symlinks/4095')?.target).toHaveLength(4095);
  });
});

describeWithPeers('compareTrees', ['root', 'python3', 'setfattr'], () => {
  test('sees every kind of difference', async () => {
    await using directory = await makeTemporaryDirectory();
    const [left, right] = [directory.join('left'), directory.join('right')];
    for (const root of [left, right]) {
      await mkdir(`${root}/folder`, { recursive: true });
      for (const name of ['content', 'mode', 'owner', 'time', 'xattr', 'kind', 'gone'])
        await writeFile(`${root}/${name}`, 'same');
      for (const name of ['content', 'mode', 'owner', 'time', 'xattr', 'kind', 'gone'])
        await utimes(`${root}/${name}`, 0, 0);
      await symlink('same', `${root}/target`);
    }
    expect(await compareTrees(left, right)).toEqual([]);

    await writeFile(`${right}/content`, 'else');
    await utimes(`${right}/content`, 0, 0);
    await chmod(`${right}/mode`, 0o4644);
    await chown(`${right}/owner`, 1, 2);
    await utimes(`${right}/time`, 0, 1.5);
    await runChecked('setfattr', ['-n', 'user.a', '-v', 'b', `${right}/xattr`]);
    await rm(`${right}/kind`);
    await mkdir(`${right}/kind`);
    await rename(`${right}/gone`, `${right}/folder/come\n`);
    await rm(`${right}/target`);
    await symlink('else', `${right}/target`);
    const differences = await compareTrees(left, right);
    expect(differences.map((line) => line.split(' ').slice(0, 2).join(' '))).toEqual([
      '/content: sha256',
      '/gone: missing',
      ...['/kind: kind', '/kind: mode', '/kind: sizeBytes', '/kind: sha256', '/kind: mtimeNanoseconds'],
      '/mode: mode',
      ...['/owner: uid', '/owner: gid'],
      '/target: target',
      '/time: mtimeNanoseconds',
      '/xattr: xattrs',
      '/folder/come%0A: not',
    ]);
  });
});
