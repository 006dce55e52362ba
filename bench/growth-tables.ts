/** Growth as tables, with its targets. */

import { formatEnvironment } from './environment.ts';
import { formatMegabytes, formatSeconds, formatValue } from './figures.ts';
import type { GrowthFigure, GrowthReport } from './growth.ts';
import { markdownTable } from './markdown-table.ts';

/** Time per file of the largest commit, against that of the one before. */
const MAX_TIME_RATIO = 1.25;
const MAX_PULL_BYTES = 700e6;
const MAX_GC_BYTES = 400e6;
const MAX_LARGE_FILE_BYTES = 150e6;
const OURS = 'cfs-ostree';

export function formatGrowth({ environment, rounds, figures, largeFile }: GrowthReport): string {
  const parts = [`## Growth\n\n${formatEnvironment(environment)}.\n`];
  if (figures !== undefined)
    parts.push(
      `Local pull from an archive repository of small files, then the rest on that store. Medians of ${rounds}.\n`,
      sizesTable(figures),
      targetsTable(figures),
    );
  if (largeFile !== undefined) {
    const { bytes, median } = largeFile;
    const outcome = median.peakBytes <= MAX_LARGE_FILE_BYTES ? 'met' : '**missed**';
    parts.push(
      `One file of ${(bytes / 2 ** 30).toFixed(0)} GiB, pulled from a local archive repository: ${formatMegabytes(median.peakBytes)} MB (target ≤ ${formatMegabytes(MAX_LARGE_FILE_BYTES)} MB: ${outcome}), ${formatSeconds(median.wallSeconds)} s, ${formatSeconds(median.cpuSeconds)} CPU s.\n`,
    );
  }
  return parts.join('\n');
}

function sizesTable(figures: readonly GrowthFigure[]): string {
  const order = [...new Set(figures.map(({ operation }) => operation))];
  const sorted = figures.toSorted((a, b) => order.indexOf(a.operation) - order.indexOf(b.operation));
  const rows = sorted.map(({ program, operation, files, median }) =>
    median === undefined
      ? [operation, program, `${files}`, 'not done in ten minutes', '', '', '']
      : [
          ...[operation, program, `${files}`],
          formatSeconds(median.wallSeconds),
          formatSeconds(median.cpuSeconds),
          `${((median.wallSeconds / files) * 1e6).toFixed(1)}`,
          formatMegabytes(median.peakBytes),
        ],
  );
  return markdownTable(['Operation', 'Program', 'Files', 'Wall s', 'CPU s', 'Wall µs per file', 'Peak MB'], rows, 2);
}

function targetsTable(figures: readonly GrowthFigure[]): string {
  const sizes = [...new Set(figures.map(({ files }) => files))].sort((a, b) => b - a);
  if (sizes.length < 2) return '';
  const [largest, before] = sizes;
  const ours = figures.filter(({ program }) => program === OURS);
  const rows = [...new Set(ours.map(({ operation }) => operation))].flatMap((operation) => {
    const at = (size: number): GrowthFigure['median'] =>
      ours.find(({ files, ...figure }) => figure.operation === operation && files === size)?.median;
    const [now, then] = [at(largest), at(before)];
    if (now === undefined || then === undefined) return [];
    const ratio = now.wallSeconds / largest / (then.wallSeconds / before);
    const lines = [
      [`time per file, ${operation}`, formatValue(ratio, 'ratio'), `≤ ${MAX_TIME_RATIO}`, ratio <= MAX_TIME_RATIO],
    ];
    const maxBytes = { pull: MAX_PULL_BYTES, gc: MAX_GC_BYTES }[operation];
    if (maxBytes !== undefined)
      lines.push([
        `peak memory, ${operation}`,
        formatValue(now.peakBytes, 'bytes'),
        `≤ ${formatValue(maxBytes, 'bytes')}`,
        now.peakBytes <= maxBytes,
      ]);
    return lines;
  });
  const cells = rows.map(([what, value, target, met]) => [
    `${what}`,
    `${value}`,
    `${target}`,
    met ? 'met' : '**missed**',
  ]);
  return markdownTable([`${largest} files, against ${before}`, 'Ours', 'Target', ''], cells, 1);
}
