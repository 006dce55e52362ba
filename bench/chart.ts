/** A report's wall-clock ratios as an SVG: one bar for each comparison, a mark where its target is. */

import { formatValue } from './figures.ts';
import type { Report } from './report-data.ts';
import type { Verdict } from './verdicts.ts';

const ROW_HEIGHT = 20;
const GROUP_GAP = 8;
const TOP = 56;
const BARS_LEFT = 380;
const BARS_WIDTH = 380;
const WIDTH = 960;
/** Longer bars are cut off; the number beside them is not. */
const MAX_RATIO = 1.5;
const MET = '#2a7f62';
const MISSED = '#c2571a';
const INK = '#1f2328';
const FAINT = '#8b949e';

export function drawChart({ fileSystem, operations }: Report): string {
  const rows: string[] = [];
  let y = TOP;
  for (const [name, { verdicts }] of Object.entries(operations)) {
    const ratios = verdicts.filter(({ measured, unit }) => measured === 'wall time' && unit === 'ratio');
    if (ratios.length === 0) continue;
    for (const [i, verdict] of ratios.entries()) {
      rows.push(drawRow(i === 0 ? name : '', verdict, y));
      y += ROW_HEIGHT;
    }
    y += GROUP_GAP;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + 16}" font-family="sans-serif" font-size="12">
<title>Wall-clock time of cfs-ostree divided by the other program's, ${escapeText(fileSystem)}</title>
<rect width="100%" height="100%" fill="white"/>
<text x="16" y="22" font-size="15" fill="${INK}">Wall-clock time of cfs-ostree divided by the other program's, ${escapeText(fileSystem)}</text>
<text x="16" y="40" fill="${FAINT}">shorter is better; black marks are targets; green: met, orange: missed; the line is “as fast as the other”</text>
${line(xOf(1), TOP - 6, y, FAINT)}
${rows.join('\n')}
</svg>
`;
}

function drawRow(name: string, verdict: Verdict, y: number): string {
  const middle = y + ROW_HEIGHT / 2 + 4;
  const bar = Math.max(1, xOf(verdict.value) - BARS_LEFT);
  const words = `${formatValue(verdict.value, 'ratio')}, target ≤ ${formatValue(verdict.atMost, 'ratio')}`;
  return [
    `<text x="16" y="${middle}" fill="${INK}">${escapeText(name)}</text>`,
    `<text x="${BARS_LEFT - 8}" y="${middle}" fill="${INK}" text-anchor="end">${escapeText(shorten(verdict.against ?? ''))}</text>`,
    `<rect x="${BARS_LEFT}" y="${y + 3}" width="${round(bar)}" height="${ROW_HEIGHT - 6}" fill="${verdict.met ? MET : MISSED}"/>`,
    line(xOf(verdict.atMost), y + 1, y + ROW_HEIGHT - 1, INK),
    `<text x="${BARS_LEFT + BARS_WIDTH + 8}" y="${middle}" fill="${INK}">${escapeText(words)}</text>`,
  ].join('\n');
}

const xOf = (ratio: number): number => BARS_LEFT + (BARS_WIDTH * Math.min(ratio, MAX_RATIO)) / MAX_RATIO;
const round = (x: number): number => Math.round(x * 10) / 10;
const line = (x: number, top: number, bottom: number, colour: string): string =>
  `<path d="M${round(x)} ${top}V${bottom}" stroke="${colour}" stroke-width="1.5"/>`;
const shorten = (label: string): string => (label.length > 34 ? `${label.slice(0, 33)}…` : label);
const escapeText = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
