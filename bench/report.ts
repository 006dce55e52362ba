/** The figures of one file system: JSON that later runs add to, and what is made of it for readers. */

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { drawChart } from './chart.ts';
import { formatReport } from './markdown.ts';
import type { Report } from './report-data.ts';

/** Raised when fields change their meaning: older files are then written anew. */
const VERSION = 1;

/** What earlier runs left in `directory`, or an empty report. */
export async function readReport(directory: string, fileSystem: string): Promise<Report> {
  const empty: Report = { version: VERSION, fileSystem, operations: {} };
  try {
    const report = JSON.parse(await readFile(join(directory, `${fileSystem}.json`), 'utf8')) as Report;
    return report.version === VERSION ? report : empty;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return empty;
    throw error;
  }
}

/** Writes `<file system>.json`, `.md` and `.svg`. @param order names of operations as readers should find them */
export async function writeReport(directory: string, report: Report, order: readonly string[]): Promise<void> {
  const operations = Object.fromEntries(
    order.filter((name) => name in report.operations).map((name) => [name, report.operations[name]]),
  );
  const ordered: Report = { ...report, operations };
  await mkdir(directory, { recursive: true });
  const write = (extension: string, text: string): Promise<void> =>
    writeFile(join(directory, `${report.fileSystem}.${extension}`), text);
  await write('json', `${JSON.stringify(ordered, undefined, 2)}\n`);
  await write('md', formatReport(ordered));
  await write('svg', drawChart(ordered));
}
