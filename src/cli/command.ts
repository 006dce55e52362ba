/** What every command of ours has besides what commander knows: examples, and options whose value may be left out. */

import { Command, type Help, InvalidArgumentError, Option } from 'commander';
import { UsageError } from '../errors.ts';

export interface Example {
  /** Works as written; a test runs it. */
  command: string;
  explanation: string;
}

/**
 * `report`: one result; `listing`: many, one for each line with --json-lines; `data`: stdout is bytes or text for another
 * program, and there is no --json.
 */
export type OutputKind = 'report' | 'listing' | 'data';

export interface CommandTexts {
  /** One line, for lists of commands. */
  summary: string;
  /** Whole sentences; line ends are only there for the source. */
  description: string;
  examples: Example[];
  output: OutputKind;
}

export class CliCommand extends Command {
  readonly examples: Example[] = [];
  outputKind: OutputKind = 'report';

  override createCommand(name: string): CliCommand {
    return new CliCommand(name);
  }

  /**
   * An optional value is only ever given with `=`, as `--progress=json`: `--link SOURCE` must not take the source for its value.
   * A bare option gets the empty value.
   */
  override parseOptions(args: string[]): { operands: string[]; unknown: string[] } {
    const bare = new Set(this.options.filter((option) => option.optional).map((option) => option.long));
    const end = args.includes('--') ? args.indexOf('--') : args.length;
    return super.parseOptions(args.map((arg, i) => (i < end && bare.has(arg) ? `${arg}=` : arg)));
  }
}

/** The program with all of its commands, for those that describe it. */
export type FullProgram = () => Promise<CliCommand>;

/** @throws UsageError when there is none of that name */
export function findCommand(program: CliCommand, name: string): CliCommand {
  const command = program.commands.find((candidate) => candidate.name() === name);
  if (command === undefined) throw new UsageError(`there is no command ${JSON.stringify(name)}`);
  return command as CliCommand;
}

export function newCommand(name: string, { summary, description, examples, output }: CommandTexts): CliCommand {
  const command = new CliCommand(name).summary(summary).description(description.replaceAll(/\s+/g, ' '));
  command.examples.push(...examples);
  command.outputKind = output;
  return command;
}

/** For `choices` that also hold for a value that is left out: `[mode]` gives `bareValue` then. */
export function choiceOption(
  flags: string,
  description: string,
  choices: readonly string[],
  bareValue?: string,
): Option {
  const option = new Option(flags, description);
  option.argChoices = [...choices];
  return option.argParser((text) => {
    const value = text === '' && bareValue !== undefined ? bareValue : text;
    if (!choices.includes(value)) throw new InvalidArgumentError(`It is one of ${choices.join(', ')}.`);
    return value;
  });
}

/** Collects the values of an option that may be given several times. */
export const repeatable = (value: string, previous: string[] | undefined): string[] => [...(previous ?? []), value];

/** Parser of option values: a whole number from `min` to `max`. */
export const wholeNumber =
  (min: number, max: number = Number.MAX_SAFE_INTEGER) =>
  (text: string): number => {
    const value = Number(text);
    if (!/^-?\d+$/.test(text) || value < min || value > max)
      throw new InvalidArgumentError(`It is a whole number${describeRange(min, max)}.`);
    return value;
  };

const describeRange = (min: number, max: number): string =>
  max === Number.MAX_SAFE_INTEGER ? `, at least ${min}` : ` from ${min} to ${max}`;

/** How an option is written in help, man pages and documents: optional values with `=`. */
export const optionTerm = (option: Option): string => option.flags.replace(/ \[(.*)\]$/, '[=$1]');

/** The description with choices and default. */
export function optionText({
  description,
  argChoices,
  defaultValue,
  defaultValueDescription,
  ...option
}: Option): string {
  const shown = defaultValueDescription ?? (option.required || option.optional ? defaultValue : undefined);
  const facts = [argChoices?.join(', '), shown === undefined ? undefined : `default: ${shown}`];
  const known = facts.filter((fact) => fact !== undefined);
  return known.length === 0 ? description : `${description} (${known.join('; ')})`;
}

export const helpStyle: Partial<Help> = {
  optionTerm,
  optionDescription: optionText,
  subcommandTerm: (command) => command.name(),
};

export function formatExamples(examples: Example[]): string {
  return examples.map(({ command, explanation }) => `  ${explanation}\n    ${command}\n`).join('');
}
