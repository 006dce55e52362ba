import type { DemoStep } from '../../operations/demo.ts';
import { newCommand } from '../command.ts';
import type { CliContext } from '../context.ts';
import { formatDuration } from '../format-time.ts';
import { type Fields, pickFields } from '../json.ts';
import { shownText } from '../shown-text.ts';

export const DEMO_STEP_FIELDS: Fields<DemoStep> = ['title', 'command', 'elapsedMs', 'result'];

export const demoCommand = (cli: CliContext) =>
  newCommand('demo', {
    summary: 'a tour of the main job',
    description: `Goes through the main job with real files of this machine: commits, publishes and serves them on loopback, pulls them
      over HTTP, builds the image, pulls an update, looks inside, collects garbage, checks everything, and mounts where that is
      possible. Works in a temporary directory, needs nothing but this program, and leaves nothing behind.`,
    examples: [{ command: 'cfs-ostree demo', explanation: 'Takes some seconds' }],
    output: 'report',
  }).action(async () => {
    const { runDemo } = await import('../../operations/demo.ts');
    await cli.prepareAddon();
    let shown: Promise<void> = Promise.resolve();
    let number = 0;
    const { steps } = await runDemo({
      onStep: (step) => {
        if (cli.json) return;
        cli.clearProgress();
        const text = formatStep(cli, ++number, step);
        shown = shown.then(() => cli.output.write(text));
        shown.catch(() => {}); // thrown where it is awaited
      },
      signal: cli.signal,
      progress: cli.progress,
    });
    await shown;
    const picked = steps.map((step) => pickFields(step, DEMO_STEP_FIELDS));
    await cli.report(
      { steps: picked },
      ['steps'],
      () => '\nThat was the main job. `cfs-ostree help` has every command.\n',
    );
  });

const formatStep = ({ paint }: CliContext, number: number, { title, command, elapsedMs, result }: DemoStep): string =>
  `${paint('bold', `${number}. ${title}`)}  ${paint('dim', `(${formatDuration(elapsedMs)})`)}\n` +
  `   ${paint('cyan', `$ ${shownText(command)}`)}\n   ${shownText(result)}\n`;
