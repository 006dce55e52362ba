/** `npm run bench` from end to end on a few files, and the reports that it leaves. */

import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { GrowthFigure } from '../../bench/growth.ts';
import type { Report } from '../../bench/report-data.ts';
import { ensureBuilt, ROOT } from '../cli/run-cli.ts';
import { describeWithPeers } from '../support/peers.ts';
import { runChecked, runCommand } from '../support/run-command.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const bench = (...args: string[]): [string, string[]] => [process.execPath, [join(ROOT, 'bench/run.ts'), ...args]];

test('an operation that is not there is refused, with those that are', async () => {
  const { exitCode, stderr } = await runCommand(...bench('pull-sideways'));
  expect(exitCode).toBe(1);
  expect(stderr).toMatch(/no operation pull-sideways; there are pull-http, /);
});

describeWithPeers('a comparison', ['root', 'ostree', 'nginx', 'python3', 'cfsctl', 'g++'], () => {
  test('measures all that take part, leaves reports, and adds to those of before', async () => {
    await ensureBuilt();
    await using directory = await makeTemporaryDirectory('memory');
    await mkdir(directory.join('tree/usr'), { recursive: true });
    for (let i = 0; i < 12; i++)
      await writeFile(directory.join('tree/usr', `file-${i}`), `content ${i}\n`.repeat(100 * i));
    const options = ['--rounds', '1', '--tree', directory.join('tree'), '--data', directory.join('data')];
    const places = ['--work', directory.join('work'), '--output', directory.join('output')];

    await runChecked(...bench('pull-http', ...options, ...places));
    const read = (name: string): Promise<string> => readFile(directory.join('output', name), 'utf8');
    const { operations } = JSON.parse(await read('tmpfs.json')) as Report;
    const { contestants, verdicts, files, environment } = operations['pull-http'];
    expect(contestants.map(({ label }) => label)).toEqual(['cfs-ostree', 'cfsctl', 'ostree']);
    for (const { median, trials } of contestants) {
      expect(trials).toEqual([median]);
      expect(median.wallSeconds).toBeGreaterThan(0);
      expect(median.cpuSeconds).toBeGreaterThan(0);
      expect(median.peakBytes).toBeGreaterThan(1e6);
    }
    expect(verdicts).toHaveLength(4);
    expect(files).toBe(12);
    expect(environment.versions).toMatchObject({ 'cfs-ostree': expect.stringMatching(/^\d/), cfsctl: '0.9.4' });
    const markdown = await read('tmpfs.md');
    expect(markdown).toContain('| `pull-http` | wall time : cfsctl | ');
    expect(await read('tmpfs.svg')).toMatch(/^<svg [\s\S]*pull-http[\s\S]*<\/svg>\n$/);

    await runChecked(...bench('pull-local-archive', ...options, ...places));
    const added = JSON.parse(await read('tmpfs.json')) as Report;
    expect(Object.keys(added.operations)).toEqual(['pull-http', 'pull-local-archive']);
    expect(added.operations['pull-local-archive'].contestants.at(-1)?.label).toBe('limit program');
    expect(added.operations['pull-http']).toEqual(operations['pull-http']);
    expect(await readdir(directory.join('work'))).toEqual([]);
  }, 300_000);

  test('growth of some programs is measured again, and that of the others stays', async () => {
    await ensureBuilt();
    await using directory = await makeTemporaryDirectory('memory');
    await mkdir(directory.join('tree'));
    await writeFile(directory.join('tree/file'), 'content');
    const options = ['--rounds', '1', '--tree', directory.join('tree'), '--data', directory.join('data')];
    const places = ['--work', directory.join('work'), '--output', directory.join('output')];
    const measure = async (...more: string[]): Promise<GrowthFigure[]> => {
      await runChecked(...bench('growth', '--sizes', '30', ...options, ...places, ...more));
      const report = JSON.parse(await readFile(directory.join('output/tmpfs.json'), 'utf8')) as Report;
      return report.growth?.figures ?? [];
    };
    const byOthers = (figures: GrowthFigure[]): GrowthFigure[] =>
      figures.filter(({ program }) => program !== 'cfs-ostree');
    const first = await measure();
    expect(new Set(first.map(({ program }) => program))).toEqual(new Set(['cfs-ostree', 'cfsctl', 'ostree']));
    const second = await measure('--programs', 'cfs-ostree');
    expect(byOthers(second)).toEqual(byOthers(first));
    expect(second).toHaveLength(first.length);
    expect(second).not.toEqual(first);
  }, 300_000);
});
