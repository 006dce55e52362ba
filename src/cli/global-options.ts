/** Options that every command takes, before or after its name. */

import { Option } from 'commander';
import { choiceOption, wholeNumber } from './command.ts';
import { PROGRESS_MODES } from './progress-display.ts';
import { SYSTEM_REPOSITORY, USER_REPOSITORY } from './repository-path.ts';
import { COLOR_MODES } from './terminal.ts';

/** A day: nobody waits longer, and timers end at 24 days. */
const MAX_LOCK_TIMEOUT_SECONDS = 86_400;
const MAX_JOBS = 1024;

export const globalOptions = (): Option[] => [
  new Option('--repo <path>', 'repository to work on; otherwise $CFS_OSTREE_REPO').conflicts(['system', 'user']),
  new Option('--system', `the system's repository, ${SYSTEM_REPOSITORY}; default for root`).conflicts('user'),
  new Option('--user', `the user's repository, ~/${USER_REPOSITORY}; default for others`),
  new Option('--json', 'result as one JSON document, errors as JSON on stderr'),
  new Option('--json-lines', 'listings as one JSON object for each line').conflicts('json'),
  new Option('--quiet', 'neither progress nor warnings'),
  choiceOption('--progress [mode]', 'how progress is shown on stderr', PROGRESS_MODES, 'auto').default(
    'auto',
    'bar on a terminal, else plain',
  ),
  new Option('--no-progress', 'no progress, same as --progress=none'),
  choiceOption('--color <when>', 'colours', COLOR_MODES).default('auto', 'on a terminal, unless NO_COLOR is set'),
  new Option('--lock-timeout <seconds>', 'longest wait for a repository that another process has locked')
    .argParser(wholeNumber(0, MAX_LOCK_TIMEOUT_SECONDS))
    .default(300),
  new Option(
    '--jobs <n>',
    'threads, and connections to a server; default: a thread for each core, 12 connections and more to a far server',
  ).argParser(wholeNumber(1, MAX_JOBS)),
];
