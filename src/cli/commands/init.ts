import type { InitReport } from '../../store/init.ts';
import { choiceOption, newCommand } from '../command.ts';
import type { CliContext } from '../context.ts';
import { formatFields } from '../format-table.ts';
import type { Fields } from '../json.ts';

const FIELDS: Fields<InitReport> = ['path', 'algorithm', 'erofsVersion', 'insecure', 'created'];

const ALGORITHMS = { 'fsverity-sha512-12': 'sha512', 'fsverity-sha256-12': 'sha256' } as const;

interface Flags {
  algorithm: keyof typeof ALGORITHMS;
  erofsVersion: '0' | '1' | '2';
  insecure?: boolean;
  ensure?: boolean;
}

export const initCommand = (cli: CliContext) =>
  newCommand('init', {
    summary: 'make a new repository',
    description:
      'Makes a new repository, with the directories above it where they are missing. The kernel verifies every file of a ' +
      'repository with fs-verity, which its file system must support; --insecure does without.',
    examples: [
      { command: 'cfs-ostree init ./images-of-mine', explanation: 'A repository on a file system with fs-verity' },
      {
        command: 'cfs-ostree init --insecure ./images-of-mine',
        explanation: 'A repository anywhere, verified by reading',
      },
    ],
    output: 'report',
  })
    .argument('[path]', 'where to make it; otherwise as for every command')
    .addOption(
      choiceOption('--algorithm <name>', 'digest that names objects', Object.keys(ALGORITHMS)).default(
        'fsverity-sha512-12',
      ),
    )
    .addOption(
      choiceOption('--erofs-version <n>', 'layout of images; 0 and 1 are those of mkcomposefs', [
        '0',
        '1',
        '2',
      ]).default('1'),
    )
    .option('--insecure', 'do not require fs-verity')
    .option('--ensure', 'it is fine if the repository is there with the same settings')
    .action(async (path: string | undefined, { algorithm, erofsVersion, insecure, ensure }: Flags) => {
      const { initRepository } = await import('../../store/init.ts');
      const report = await initRepository(path ?? cli.repoPath, {
        algorithm: ALGORITHMS[algorithm],
        erofsVersion: Number(erofsVersion) as 0 | 1 | 2,
        insecure,
        ensure,
      });
      await cli.report(report, FIELDS, formatReport);
    });

const formatReport = ({ path, algorithm, erofsVersion, insecure, created }: InitReport): string =>
  `${created ? 'Made a repository' : 'There is a repository already'}\n` +
  formatFields([
    ['path', path],
    ['algorithm', `fsverity-${algorithm}-12`],
    ['EROFS version', String(erofsVersion)],
    ['fs-verity', insecure ? 'not required' : 'required'],
  ]);
