/** Figures as text, the same in the terminal, in tables and in the chart. */

import type { Verdict } from './verdicts.ts';

export const formatSeconds = (value: number): string =>
  value < 1 ? value.toFixed(3) : value.toFixed(value < 10 ? 2 : 1);
export const formatMegabytes = (bytes: number): string => `${Math.round(bytes / 1e6)}`;

export function formatValue(value: number, unit: Verdict['unit']): string {
  switch (unit) {
    case 'ratio':
      return value.toFixed(2);
    case 'seconds':
      return `${Math.round(value * 1000)} ms`;
    case 'bytes':
      return `${formatMegabytes(value)} MB`;
    case 'number':
      return `${value}`;
  }
}

export function formatTarget({ atMost, stretch, unit }: Verdict): string {
  const target = `≤ ${formatValue(atMost, unit)}`;
  return stretch === undefined ? target : `${target} (stretch ${formatValue(stretch, unit)})`;
}

export const formatOutcome = ({ met, stretch, value }: Verdict): string =>
  met ? (stretch !== undefined && value <= stretch ? 'met, stretch too' : 'met') : 'missed';

/** Columns side by side; all but the first `left` are aligned at their ends. */
export function alignColumns(rows: readonly (readonly string[])[], left: number): string {
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  const line = (row: readonly string[]): string =>
    row.map((cell, i) => (i < left ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  ');
  return rows.map((row) => `  ${line(row).trimEnd()}\n`).join('');
}
