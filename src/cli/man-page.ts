/** Man pages (roff) from the definitions of the commands. */

import type { Option } from 'commander';
import { ExitCode } from '../errors.ts';
import { type CliCommand, optionTerm, optionText } from './command.ts';
import { EXIT_STATUS_TEXTS } from './exit-status.ts';
import { SYSTEM_REPOSITORY, USER_REPOSITORY } from './repository-path.ts';

/** Of the program itself: what holds for every command, and a list of them. */
export function programManPage(program: CliCommand): string {
  const commands = program.commands.map((command) => ({
    term: `\\fB${roff(`cfs-ostree-${command.name()}`)}\\fR(1)`,
    text: command.summary(),
  }));
  return [
    heading(program.name(), program),
    section('NAME', `${roff(program.name())} \\- content store for ostree commits and composefs images`),
    section('SYNOPSIS', `.B ${roff(program.name())}\n[\\fIoptions\\fR] \\fIcommand\\fR [\\fIarguments\\fR]`),
    section('DESCRIPTION', paragraph(program.description())),
    section('COMMANDS', terms(commands)),
    section('OPTIONS', optionTerms(program.options)),
    exitStatus(),
    section(
      'ENVIRONMENT',
      terms([
        { term: '\\fBCFS_OSTREE_REPO\\fR', text: 'Repository to work on, where no option names one.' },
        { term: '\\fBNO_COLOR\\fR', text: 'No colours, unless --color=always.' },
      ]),
    ),
    section(
      'FILES',
      terms([
        { term: `\\fI${roff(SYSTEM_REPOSITORY)}\\fR`, text: "The system's repository, default for root." },
        { term: `\\fI~/${roff(USER_REPOSITORY)}\\fR`, text: "The user's repository, default for others." },
      ]),
    ),
  ].join('');
}

export function commandManPage(program: CliCommand, command: CliCommand): string {
  const name = `${program.name()}-${command.name()}`;
  const usages = command.usage().split('\n');
  const synopsis = usages.map((usage) => {
    const words = usage.replace(/^\s*cfs-ostree \S+ /, '').replace(/^\[options\] ?/, '');
    return `.B ${roff(`${program.name()} ${command.name()}`)}\n[\\fIoptions\\fR] ${roff(words)}`;
  });
  const described = command.registeredArguments.filter(({ description }) => description !== '');
  return [
    heading(name, program),
    section('NAME', `${roff(name)} \\- ${roff(command.summary())}`),
    section('SYNOPSIS', synopsis.join('\n.br\n')),
    section('DESCRIPTION', paragraph(command.description())),
    described.length === 0
      ? ''
      : section(
          'ARGUMENTS',
          terms(
            described.map((argument) => ({ term: `\\fI${roff(argument.name())}\\fR`, text: argument.description })),
          ),
        ),
    command.options.length === 0 ? '' : section('OPTIONS', optionTerms(command.options)),
    section('GLOBAL OPTIONS', optionTerms(program.options)),
    section('EXAMPLES', command.examples.map(exampleText).join('')),
    exitStatus(),
    section('SEE ALSO', `.BR ${roff(program.name())} (1)`),
  ].join('');
}

const heading = (name: string, program: CliCommand): string =>
  `.TH "${roff(name.toUpperCase())}" 1 "" "${roff(program.name())} ${roff(program.version() ?? '')}" ""\n`;

const section = (title: string, body: string): string => `.SH ${title}\n${body.trimEnd()}\n`;
const paragraph = (text: string): string => `.PP\n${roff(text)}\n`;
const terms = (items: Array<{ term: string; text: string }>): string =>
  items.map(({ term, text }) => `.TP\n${term}\n${roff(text)}\n`).join('');

const optionTerms = (options: readonly Option[]): string =>
  terms(options.map((option) => ({ term: `\\fB${roff(optionTerm(option))}\\fR`, text: `${optionText(option)}.` })));

const exampleText = ({ command, explanation }: { command: string; explanation: string }): string =>
  `.PP\n${roff(explanation)}:\n.PP\n.RS 4\n.nf\n${roff(command)}\n.fi\n.RE\n`;

const exitStatus = (): string =>
  section(
    'EXIT STATUS',
    terms(
      Object.entries(ExitCode).map(([key, code]) => ({
        term: `\\fB${code}\\fR`,
        text: EXIT_STATUS_TEXTS[key as keyof typeof ExitCode],
      })),
    ),
  );

/** Text in which nothing is a roff command: dashes stay dashes, and no line starts a request. */
const roff = (text: string): string =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll("'", '\\(aq')
    .replaceAll('"', '\\(dq')
    .replace(/^\./gm, '\\&.');
