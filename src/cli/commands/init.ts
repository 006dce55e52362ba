import type { InitReport } from '../../store/init.ts';
import { type AlgorithmName, algorithmName, algorithmNamed, algorithmOption } from '../algorithm.ts';
import { choiceOption, newCommand } from '../command.ts';
import type { CliContext } from '../context.ts';
import { formatFields } from '../format-table.ts';
import type { Fields } from '../json.ts';

type Report = Omit<InitReport, 'algorithm'> & { algorithm: AlgorithmName };

export const INIT_FIELDS: Fields<Report> = ['path', 'algorithm', 'erofsVersion', 'insecure', 'created'];

interface Flags {
  algorithm: AlgorithmName;
  erofsVersion: '0' | '1' | '2';
  insecure?: boolean;
  ensure?: boolean;
}

export const initCommand = (cli: CliContext) =>
  newCommand('init', {
    summary: 'make a new repository',
    description: `Makes a new repository, and the directories above it where they are missing. The kernel verifies every file of a
      repository with fs-verity, which its file system must support; with --insecure files are verified by reading them.`,
    examples: [
      { command: 'cfs-ostree init --insecure ./new-store', explanation: 'A repository on any file system' },
      {
        command: 'cfs-ostree init --insecure --ensure --algorithm fsverity-sha256-12 ./sha256-store',
        explanation: 'For a script that may run again, with shorter digests',
      },
    ],
    output: 'report',
  })
    .argument('[path]', 'where to make it; without it, where commands look for their repository')
    .addOption(algorithmOption('digest that names objects').default('fsverity-sha512-12'))
    .addOption(
      choiceOption('--erofs-version <n>', 'layout of images; 0 and 1 as mkcomposefs', ['0', '1', '2']).default('1'),
    )
    .option('--insecure', 'do not require fs-verity')
    .option('--ensure', 'it is fine if the repository is there with the same settings')
    .action(async (path: string | undefined, { algorithm, erofsVersion, insecure, ensure }: Flags) => {
      const { initRepository } = await import('../../store/init.ts');
      await cli.prepareAddon();
      const report = await initRepository(path ?? cli.repoPath, {
        algorithm: algorithmNamed(algorithm),
        erofsVersion: Number(erofsVersion) as 0 | 1 | 2,
        insecure,
        ensure,
      });
      await cli.report({ ...report, algorithm: algorithmName(report.algorithm) }, INIT_FIELDS, formatReport);
    });

const formatReport = ({ path, algorithm, erofsVersion, insecure, created }: Report): string =>
  `${created ? 'Made a repository' : 'There is a repository already'}\n` +
  formatFields([
    ['  path', path],
    ['  algorithm', algorithm],
    ['  EROFS version', String(erofsVersion)],
    ['  fs-verity', insecure ? 'not required' : 'required'],
  ]);
