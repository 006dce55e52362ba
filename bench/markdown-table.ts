/** @param left columns of text at the start; the others are numbers, and what is said about them */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[], left: number): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |\n`;
  return line(head) + line(head.map((_, i) => (i < left ? '---' : '---:'))) + rows.map(line).join('');
}
