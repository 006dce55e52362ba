/** Without `syncfs` every file is flushed on its own before it gets a name, and every directory before something refers into it. */

import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { expect, test } from 'vitest';
import { cliEnvironment, ensureBuilt, PROGRAM, runCliJson } from '../cli/run-cli.ts';
import { describeWithPeers, getPeer } from '../support/peers.ts';
import { runChecked } from '../support/run-command.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { vectorRepository } from '../support/vector-repositories.ts';

const SYSTEM_CALLS = 'fsync,fdatasync,syncfs,link,linkat,rename,renameat,renameat2,symlink,symlinkat';

/** Of a call that succeeded. */
interface SystemCall {
  name: string;
  /** What it was given, in the notation of strace: descriptors with their paths. */
  given: string;
  /** Lines of the log. */
  start: number;
  end: number;
}

/** `1234 fsync(21</a/b>) = 0`, in one line or, where threads come between, in two. */
const WHOLE = /^(\d+) +(\w+)\((.*)\) += (-?\d+)/;
const UNFINISHED = /^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$/;
const RESUMED = /^(\d+) +<\.\.\. (\w+) resumed>.*\) += (-?\d+)/;

function readCalls(log: string): SystemCall[] {
  const calls: SystemCall[] = [];
  const unfinished = new Map<string, SystemCall>();
  for (const [i, line] of log.split('\n').entries()) {
    const [, thread, name, given, result] = WHOLE.exec(line) ?? UNFINISHED.exec(line) ?? [];
    if (result === '0') calls.push({ name, given, start: i, end: i });
    else if (result === undefined && thread !== undefined) unfinished.set(thread, { name, given, start: i, end: i });
    const [, resumed, , late] = RESUMED.exec(line) ?? [];
    const call = unfinished.get(resumed ?? '');
    if (call !== undefined && late === '0') calls.push({ ...call, end: i });
  }
  return calls;
}

const named = (calls: SystemCall[], name: RegExp): SystemCall[] => calls.filter((call) => name.test(call.name));
/** The paths in quotes. */
const pathsOf = ({ given }: SystemCall): string[] => [...given.matchAll(/"([^"]*)"/g)].map(([, path]) => path);
const newName = (call: SystemCall): string => pathsOf(call)[1];

describeWithPeers('as strace sees it', ['strace'], () => {
  test.each([
    ['pull', ['pull', 'SOURCE', 'nasty/canonical', 'nasty/x86_64/main']],
    ['create-image', ['create-image', 'nasty/x86_64/other', '--name', 'os']],
    ['commit', ['commit', import.meta.dirname, '--branch', 'own', '--no-xattrs']],
  ])(
    '%s',
    async (_title, args) => {
      await using directory = await makeTemporaryDirectory();
      await ensureBuilt();
      const [repo, log] = [directory.join('repo'), directory.join('log')];
      const source = await vectorRepository('archive');
      await runCliJson(['init', '--insecure', repo]);
      await runCliJson(['pull', source, 'nasty/x86_64/other', '--repo', repo]);
      const words = args.map((word) => (word === 'SOURCE' ? source : word));
      const strace = ['-f', '-y', '-s', '4096', '-o', log, '-e', `trace=${SYSTEM_CALLS}`, process.execPath, PROGRAM];
      const env = cliEnvironment({ CFS_OSTREE_NO_ADDON: '1', CFS_OSTREE_REPO: repo });
      await runChecked(getPeer('strace'), [...strace, ...words], { env });

      const calls = readCalls(await readFile(log, 'utf8'));
      const flushes = named(calls, /^f(?:data)?sync$/).map((call) => ({
        ...call,
        path: /<(.*)>/.exec(call.given)?.[1],
      }));
      const objects = named(calls, /^link(?:at)?$/).filter((call) => newName(call).startsWith(`${repo}/objects/`));
      expect(objects.length).toBeGreaterThan(0);
      for (const object of objects) {
        const [temporary, name] = pathsOf(object);
        expect(
          flushes.some(({ path, end }) => path === temporary && end < object.start),
          `${name} was flushed`,
        ).toBe(true);
      }
      const names = named(calls, /^(?:symlink|rename)/).filter((call) =>
        ['streams', 'images'].some((kind) => newName(call).startsWith(`${repo}/${kind}/`)),
      );
      expect(names.length).toBeGreaterThan(0);
      for (const published of names)
        for (const object of objects.filter(({ end }) => end < published.start)) {
          const folder = dirname(newName(object));
          const isFlushed = flushes.some(
            ({ path, start, end }) => path === folder && start > object.end && end < published.start,
          );
          expect(isFlushed, `${folder} was flushed before ${newName(published)} was there`).toBe(true);
        }
      expect(named(calls, /^syncfs$/)).toEqual([]);
    },
    120_000,
  );
});
