/** Completion scripts for shells, from the definitions of the commands. */

import type { Option } from 'commander';
import type { CliCommand } from './command.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

export function completionScript(shell: Shell, program: CliCommand): string {
  const names = program.commands.map((command) => command.name());
  const commands = program.commands.map((command) => describeCommand(command as CliCommand, names));
  const model: Model = { program: program.name(), globals: program.options.flatMap(describeOption), commands };
  return { bash: bashScript, zsh: zshScript, fish: fishScript }[shell](model);
}

interface OptionModel {
  long: string;
  short?: string;
  description: string;
  /** Must be followed by a value. */
  takesValue: boolean;
  /** A value may be given with `=`. */
  mayTakeValue: boolean;
  choices: string[];
  isPath: boolean;
}

interface CommandModel {
  name: string;
  summary: string;
  options: OptionModel[];
  /** Words that an argument can be. */
  words: string[];
}

interface Model {
  program: string;
  globals: OptionModel[];
  commands: CommandModel[];
}

const describeCommand = (command: CliCommand, commandNames: string[]): CommandModel => ({
  name: command.name(),
  summary: command.summary(),
  options: command.options.flatMap(describeOption),
  words: command.registeredArguments.flatMap((argument) =>
    argument.name() === 'command' ? commandNames : (argument.argChoices ?? []),
  ),
});

function describeOption(option: Option): OptionModel[] {
  if (option.long == null) return [];
  return [
    {
      long: option.long,
      short: option.short ?? undefined,
      description: option.description,
      takesValue: option.required,
      mayTakeValue: option.optional,
      choices: option.argChoices ?? [],
      isPath: /<(path|file|directory)>/.test(option.flags),
    },
  ];
}

const words = (options: OptionModel[]): string => options.map(optionWord).join(' ');
const optionWord = ({ long, mayTakeValue }: OptionModel): string => (mayTakeValue ? `${long}=` : long);

/** `case` branches for the value of the option before the word that is completed. */
const bashValueCases = (options: OptionModel[]): string =>
  options
    .filter(({ takesValue }) => takesValue)
    .map(({ long, choices, isPath }) =>
      choices.length > 0
        ? `    ${long}|${long}=) COMPREPLY=($(compgen -W '${choices.join(' ')}' -- "$cur")); return ;;\n`
        : `    ${long}|${long}=) ${isPath ? 'compopt -o default; ' : ''}COMPREPLY=(); return ;;\n`,
    )
    .join('');

function bashScript({ program, globals, commands }: Model): string {
  const all = [
    ...new Map([...globals, ...commands.flatMap(({ options }) => options)].map((o) => [o.long, o])).values(),
  ];
  const valued = all.filter(({ mayTakeValue }) => mayTakeValue);
  const cases = commands.map(
    ({ name, options, words: argumentWords }) =>
      `    ${name}) options='${words(options)}'; words='${argumentWords.join(' ')}' ;;\n`,
  );
  return `# bash completion of ${program}
_${identifier(program)}() {
  local cur prev equals command options words i
  cur=\${COMP_WORDS[COMP_CWORD]}
  prev=\${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  if [[ $cur == = ]]; then cur= equals==; elif [[ $prev == = ]]; then prev=\${COMP_WORDS[COMP_CWORD-2]} equals==; fi
  case $prev$equals in
${valued.map(({ long, choices }) => `    ${long}=) COMPREPLY=($(compgen -W '${choices.join(' ')}' -- "$cur")); return ;;\n`).join('')}${bashValueCases(all)}  esac
  for ((i = 1; i < COMP_CWORD; i++)); do
    case \${COMP_WORDS[i]} in
    ${globals
      .filter(({ takesValue }) => takesValue)
      .map(({ long }) => long)
      .join('|')}) ((i++)) ;;
    -*|=) ;;
    *) command=\${COMP_WORDS[i]}; break ;;
    esac
  done
  case $command in
${cases.join('')}    '') options=; words='${commands.map(({ name }) => name).join(' ')}' ;;
  esac
  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$options ${words(globals)} --help" -- "$cur"))
    [[ $COMPREPLY == *= ]] && compopt -o nospace
  elif [[ -n $words ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
  else
    compopt -o default
  fi
}
complete -F _${identifier(program)} ${program}
`;
}

function zshScript({ program, globals, commands }: Model): string {
  const specs = (options: OptionModel[]): string => options.map((option) => `    ${zshOption(option)} \\\n`).join('');
  return `#compdef ${program}
# zsh completion of ${program}
_${identifier(program)}() {
  local context state state_descr line
  typeset -A opt_args
  local -a commands=(
${commands.map(({ name, summary }) => `    ${quote(`${name}:${summary}`)}\n`).join('')}  )
  _arguments -C \\
${specs(globals)}    '1: :->command' \\
    '*:: :->arguments'
  case $state in
  command) _describe -t commands command commands ;;
  arguments)
    case $line[1] in
${commands
  .map(
    ({ name, options, words: argumentWords }) =>
      `    ${name}) _arguments \\\n${specs([...options, ...globals])}      '*: :${argumentWords.length > 0 ? `(${argumentWords.join(' ')})` : '_files'}' ;;\n`,
  )
  .join('')}    esac ;;
  esac
}
if [[ $funcstack[1] == _${identifier(program)} ]]; then _${identifier(program)} "$@"; else compdef _${identifier(program)} ${program}; fi
`;
}

function zshOption({ long, description, takesValue, mayTakeValue, choices, isPath }: OptionModel): string {
  const text = description.replaceAll('[', '\\[').replaceAll(']', '\\]').replaceAll(':', '\\:');
  const values = choices.length > 0 ? `(${choices.join(' ')})` : isPath ? '_files' : ' ';
  const value = takesValue ? `:value:${values}` : mayTakeValue ? `::value:${values}` : '';
  return quote(`*${long}${takesValue ? '=' : mayTakeValue ? '=-' : ''}[${text}]${value}`);
}

function fishScript({ program, globals, commands }: Model): string {
  const none = `__fish_use_subcommand`;
  const line = (condition: string, rest: string): string => `complete -c ${program}${condition} ${rest}\n`;
  return [
    `# fish completion of ${program}\n`,
    ...commands.map(({ name, summary }) => line(` -n ${none} -f`, `-a ${name} -d ${quote(summary)}`)),
    ...globals.map((option) => line('', fishOption(option))),
    ...commands.flatMap(({ name, options, words: argumentWords }) => [
      ...options.map((option) => line(` -n '__fish_seen_subcommand_from ${name}'`, fishOption(option))),
      ...argumentWords.map((word) => line(` -n '__fish_seen_subcommand_from ${name}' -f`, `-a ${word}`)),
    ]),
  ].join('');
}

function fishOption({ long, short, description, takesValue, choices, isPath }: OptionModel): string {
  const value = takesValue ? (isPath ? ' -r -F' : ' -x') : '';
  const values = choices.length > 0 ? ` -a ${quote(choices.join(' '))}` : '';
  return `${short === undefined ? '' : `-s ${short.slice(1)} `}-l ${long.slice(2)}${value}${values} -d ${quote(description)}`;
}

/** For shells: in single quotes, which hold everything but themselves. */
const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
const identifier = (name: string): string => name.replaceAll('-', '_');
