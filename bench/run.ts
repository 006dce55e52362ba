/** `npm run bench`: see USAGE. */

import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { constants } from 'node:os';
import { join } from 'node:path';
import { getPeer } from '../test/support/peers.ts';
import { type BenchArguments, parseArguments, STUDIES, USAGE } from './arguments.ts';
import { compare } from './compare.ts';
import { describeEnvironment, type Environment, formatEnvironment } from './environment.ts';
import { archiveOf, ensureFixture } from './fixture.ts';
import { type GrowthFigure, measureGrowth, measureLargeFile } from './growth.ts';
import { formatOperation } from './markdown.ts';
import type { Bench } from './operation.ts';
import { OPERATIONS } from './operations.ts';
import { readReport, writeReport } from './report.ts';
import type { Report } from './report-data.ts';
import { Servers } from './servers.ts';
import { Stores } from './stores.ts';

const MAX_GROWTH_ROUNDS = 3;

const say = (text: string): void => void process.stderr.write(`bench: ${text}\n`);

async function main(): Promise<void> {
  const args = parseArguments(process.argv.slice(2));
  if (args === undefined) {
    process.stdout.write(USAGE);
    return;
  }
  // Without ostree there is no data, without nginx no server, without python3 no meter.
  for (const name of ['ostree', 'nginx', 'python3'] as const) getPeer(name);
  const fixture = await ensureFixture(args.data, args.tree, say);
  await mkdir(args.work, { recursive: true });
  const work = await mkdtemp(join(args.work, 'cfs-ostree-bench-'));
  try {
    await using servers = new Servers(archiveOf(fixture));
    cleanUpWhenInterrupted(work, servers);
    const bench: Bench = { fixture, servers, stores: new Stores(work, fixture, servers) };
    const environment = await describeEnvironment(work);
    process.stdout.write(`${formatEnvironment(environment)}\n`);
    await runAll(args, bench, environment);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** The meter ends what is measured when this process has ended: only then can the stores be removed. */
function cleanUpWhenInterrupted(work: string, servers: Servers): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, async () => {
      await servers[Symbol.asyncDispose]();
      const remove = ['-c', 'sleep 1; rm -rf "$1"', 'sh', work];
      spawn('sh', remove, { detached: true, stdio: 'ignore' }).unref();
      process.exit(128 + constants.signals[signal]);
    });
}

/** The report is written after each of them: what was measured is kept whatever comes. */
async function runAll(args: BenchArguments, bench: Bench, environment: Environment): Promise<void> {
  const report = await readReport(args.output, environment.fileSystem);
  for (const name of args.names) {
    say(name);
    if (STUDIES.includes(name)) await study(name, args, bench, environment, report);
    else {
      const operation = OPERATIONS[name];
      const { files, bytes } = bench.fixture;
      const comparison = await compare(operation, bench, args.rounds, say);
      report.operations[name] = { title: operation.title, files, bytes, environment, ...comparison };
      process.stdout.write(`\n${formatOperation(name, report.operations[name])}`);
    }
    await writeReport(args.output, report, Object.keys(OPERATIONS));
  }
  say(`reports are in ${args.output}`);
}

async function study(
  name: string,
  args: BenchArguments,
  { stores }: Bench,
  environment: Environment,
  report: Report,
): Promise<void> {
  const rounds = Math.min(args.rounds, MAX_GROWTH_ROUNDS);
  const growth = { ...report.growth, environment };
  if (name === 'growth') {
    const { sizes, programs } = args;
    const fresh = await measureGrowth({ stores, rounds, say }, { sizes, programs });
    const isFresh = ({ files, program }: GrowthFigure): boolean => sizes.includes(files) && programs.includes(program);
    const kept = (growth.figures ?? []).filter((figure) => !isFresh(figure));
    report.growth = { ...growth, rounds, figures: [...kept, ...fresh].sort((a, b) => a.files - b.files) };
  }
  if (name === 'large-file') {
    const largeFile = await measureLargeFile({ stores, rounds: 1, say });
    if (largeFile !== undefined) report.growth = { ...growth, largeFile };
  }
}

try {
  await main();
} catch (error) {
  say((error as Error).message);
  process.exitCode = 1;
}
