/** A report as Markdown tables, and one operation of it as text for the terminal. */

import { formatEnvironment } from './environment.ts';
import { alignColumns, formatMegabytes, formatOutcome, formatSeconds, formatTarget, formatValue } from './figures.ts';
import { formatGrowth } from './growth-tables.ts';
import { markdownTable } from './markdown-table.ts';
import type { OperationReport, Report } from './report-data.ts';
import type { ContestantReport, Verdict } from './verdicts.ts';

export function formatReport({ fileSystem, operations, growth }: Report): string {
  const all = Object.entries(operations);
  const parts = [
    `# Figures on ${fileSystem}\n\nWritten by \`npm run bench\`; [how to repeat it](../performance.md).\n`,
    ...formatEnvironments(all),
  ];
  if (all.some(([, { verdicts }]) => verdicts.length > 0))
    parts.push(
      `## Targets\n\nRatios are ours divided by theirs, of medians. ![Ratios](${fileSystem}.svg)\n`,
      targets(all),
    );
  if (all.length > 0) parts.push('## Medians\n', medians(all));
  if (growth !== undefined) parts.push(formatGrowth(growth));
  return `${parts.join('\n').trimEnd()}\n`;
}

/** One paragraph where all figures were taken alike. */
function formatEnvironments(all: ReadonlyArray<[string, OperationReport]>): string[] {
  const places = new Map<string, string[]>();
  for (const [name, { environment, files, bytes, rounds }] of all) {
    const place = `${formatEnvironment(environment)}. ${files} files, ${(bytes / 1e9).toFixed(2)} GB`;
    places.set(place, [...(places.get(place) ?? []), `${name} (${rounds} rounds)`]);
  }
  const only = places.size === 1;
  return [...places].map(([place, names]) => {
    const rounds = Math.min(...all.map(([, operation]) => operation.rounds));
    return only ? `${place}. At least ${rounds} rounds.\n` : `${place}: ${names.join(', ')}.\n`;
  });
}

function targets(all: ReadonlyArray<[string, OperationReport]>): string {
  const rows = all.flatMap(([name, { verdicts }]) =>
    verdicts.map((verdict, i) => [
      i === 0 ? `\`${name}\`` : '',
      describeMeasured(verdict),
      formatValue(verdict.value, verdict.unit),
      formatTarget(verdict),
      verdict.met ? formatOutcome(verdict) : `**${formatOutcome(verdict)}**`,
    ]),
  );
  return markdownTable(['Operation', 'Measured', 'Ours', 'Target', ''], rows, 2);
}

const describeMeasured = ({ measured, against }: Verdict): string => {
  if (measured === 'count') return against ?? '';
  return against === undefined ? measured : `${measured} : ${against}`;
};

function medians(all: ReadonlyArray<[string, OperationReport]>): string {
  const rows = all.flatMap(([name, { title, contestants }]) =>
    contestants.map((contestant, i) => [i === 0 ? `\`${name}\`: ${title}` : '', ...figures(contestant)]),
  );
  return markdownTable(['Operation', 'Program', 'Wall s', '(range)', 'CPU s', 'Peak MB'], rows, 2);
}

function figures({ label, trials, median }: ContestantReport): string[] {
  const walls = trials.map(({ wallSeconds }) => wallSeconds);
  return [
    label,
    formatSeconds(median.wallSeconds),
    `${formatSeconds(Math.min(...walls))}–${formatSeconds(Math.max(...walls))}`,
    formatSeconds(median.cpuSeconds),
    formatMegabytes(median.peakBytes),
  ];
}

/** For the terminal: medians, and how ours compares. */
export function formatOperation(name: string, { title, contestants, counts, verdicts }: OperationReport): string {
  const ours = contestants[0].median;
  const rows = contestants.map((contestant, i) => [
    ...figures(contestant),
    i === 0 ? '' : formatValue(ours.wallSeconds / contestant.median.wallSeconds, 'ratio'),
    i === 0 ? '' : formatValue(ours.cpuSeconds / contestant.median.cpuSeconds, 'ratio'),
  ]);
  const head = ['', 'wall s', '(range)', 'CPU s', 'peak MB', 'ours : it, wall', 'CPU'];
  const counted = Object.entries(counts ?? {}).map(([what, n]) => `${n} ${what}`);
  return [
    `${name}: ${title}\n`,
    alignColumns([head, ...rows], 1),
    counted.length === 0 ? '' : `  ${counted.join(', ')}\n`,
    ...verdicts.map(
      (verdict) =>
        `  ${formatOutcome(verdict)}: ${describeMeasured(verdict)} ${formatValue(verdict.value, verdict.unit)}, target ${formatTarget(verdict)}\n`,
    ),
  ].join('');
}
