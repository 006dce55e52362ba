import { ExitCode } from '../../errors.ts';
import type { TreeDifference } from '../../operations/diff-trees.ts';
import { newCommand } from '../command.ts';
import type { CliContext } from '../context.ts';
import type { Fields } from '../json.ts';
import { LazyRepository } from '../lazy-repository.ts';
import { shownText } from '../shown-text.ts';
import { TREE_ARGUMENT } from '../tree-argument.ts';

export const DIFF_FIELDS: Fields<TreeDifference> = ['added', 'removed', 'changed'];

export const diffCommand = (cli: CliContext) =>
  newCommand('diff', {
    summary: 'what differs between two trees',
    description:
      'Lists the paths that were added (A), removed (D) and changed (M, with what changed) from one tree to another.',
    examples: [
      { command: 'cfs-ostree diff os/main^ os/main', explanation: 'What the newest commit changed' },
      { command: 'cfs-ostree diff os/main file:./os.erofs', explanation: 'Is this the image of that commit?' },
    ],
    output: 'report',
  })
    .argument('<a>', TREE_ARGUMENT)
    .argument('<b>', TREE_ARGUMENT)
    .option('--exit-code', `exit with ${ExitCode.findings} when there are differences`)
    .action(async (a: string, b: string, { exitCode }: { exitCode?: boolean }) => {
      await using repo = new LazyRepository(cli);
      const { openTree } = await import('../../operations/resolve-tree.ts');
      const { diffTrees } = await import('../../operations/diff-trees.ts');
      const before = await openTree(repo.get, a);
      const after = await openTree(repo.get, b);
      const difference = diffTrees(before.root, after.root);
      await cli.report(difference, DIFF_FIELDS, (report) => formatDifference(cli, report));
      const { added, removed, changed } = difference;
      if (exitCode && added.length + removed.length + changed.length > 0) cli.exitCode = ExitCode.findings;
    });

const formatDifference = ({ paint }: CliContext, { added, removed, changed }: TreeDifference): string =>
  [
    ...removed.map((path) => paint('red', `D  ${shownText(path)}`)),
    ...added.map((path) => paint('green', `A  ${shownText(path)}`)),
    ...changed.map(({ path, what }) => `${paint('yellow', `M  ${shownText(path)}`)}  (${what.join(', ')})`),
  ]
    .map((line) => `${line}\n`)
    .join('');
