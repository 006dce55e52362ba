import type { LogEntry } from '../../operations/show-commit.ts';
import { newCommand } from '../command.ts';
import type { CliContext } from '../context.ts';
import { formatCommitHead } from '../format-commit.ts';
import type { Fields } from '../json.ts';

export const LOG_FIELDS: Fields<LogEntry> = ['commit', 'parent', 'timestamp', 'subject', 'body', 'version', 'stored'];

export const logCommand = (cli: CliContext) =>
  newCommand('log', {
    summary: 'show the history of a ref',
    description: 'Shows a commit and its ancestors, newest first, as far as they are stored here.',
    examples: [
      { command: 'cfs-ostree log os/main', explanation: 'From the newest commit on' },
      { command: 'cfs-ostree log os/main^', explanation: 'Without the newest one' },
    ],
    output: 'listing',
  })
    .argument('<ref>', 'ref or commit')
    .action(async (name: string) => {
      await using repo = await cli.openRepository();
      const { history } = await import('../../operations/show-commit.ts');
      let isFirst = true;
      const each = (entry: LogEntry): string => {
        const gap = isFirst ? '' : '\n';
        isFirst = false;
        return gap + formatEntry(cli, entry);
      };
      await cli.list(history(repo, name), { fields: LOG_FIELDS, text: { each } });
    });

const formatEntry = (cli: CliContext, entry: LogEntry): string =>
  entry.stored
    ? formatCommitHead(cli.paint, entry)
    : `${cli.paint('yellow', `commit ${entry.commit}`)}\n(not stored here)\n`;
