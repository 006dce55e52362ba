/** Aligned columns. */

export interface Column {
  title: string;
  align?: 'left' | 'right';
}

const GAP = '  ';

/** Rows as lines; the titles as first line unless none is given. The last column is never padded. */
export function formatTable(columns: Column[], rows: string[][]): string {
  const titles = columns.map(({ title }) => title);
  const lines = titles.every((title) => title === '') ? rows : [titles, ...rows];
  const widths = columns.map((_, i) => lines.reduce((widest, cells) => Math.max(widest, cells[i].length), 0));
  const pad = (cell: string, i: number): string =>
    columns[i].align === 'right' ? cell.padStart(widths[i]) : cell.padEnd(widths[i]);
  return lines.map((cells) => `${cells.map(pad).join(GAP).trimEnd()}\n`).join('');
}

/** `name  value` lines; absent values are left out. */
export function formatFields(fields: Array<[string, string | undefined]>): string {
  const present = fields.filter((field): field is [string, string] => field[1] !== undefined);
  return formatTable([{ title: '' }, { title: '' }], present);
}
