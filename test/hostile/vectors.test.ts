/**
 * test/vectors/hostile through the built program, as a user would meet it: the verdict, the exit status, an error that names the place,
 * bounded time and memory, and a repository of ours that has nothing of it afterwards.
 */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ensureBuilt } from '../cli/run-cli.ts';
import { type StaticServer, startStaticServer } from '../support/static-server.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';
import {
  casesOf,
  dumpfilePath,
  HOSTILE_REF,
  type HostileCase,
  unpackImage,
  unpackRepository,
} from './hostile-cases.ts';
import { attack, type JsonError, NO_ADDON, readError, Victim } from './victim.ts';

let sources: TemporaryDirectory;
let stores: TemporaryDirectory;
let server: StaticServer;
beforeAll(async () => {
  await ensureBuilt();
  sources = await makeTemporaryDirectory();
  stores = await makeTemporaryDirectory('memory');
  server = await startStaticServer(sources.path);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await stores[Symbol.asyncDispose]();
  await sources[Symbol.asyncDispose]();
});

const CORRUPT = 5;
const UNTRUSTED = 7;
const NO_REPOSITORY = 10;

/** Malformed, yet of no single place: content against header or checksum, objects against each other, what is not there. */
const WITHOUT_OFFSET = new Set([
  'commit-truncated',
  'commit-missing-tree',
  'commit-missing-meta',
  'commit-ref-binding-mismatch',
  'dirtree-file-is-dirmeta',
  'file-wrong-content',
  'file-wrong-mode',
  'file-wrong-xattrs',
  'filez-bomb-small-declared-prefix',
  'filez-declared-huge',
  'filez-declared-one-less',
  'filez-declared-zero',
  'filez-truncated-deflate',
  'filez-no-deflate',
  'filez-garbage-deflate',
  'filez-trailing-garbage',
]);
/** Those that are wrong as a whole: no field either. */
const WITHOUT_FIELD = new Set([
  'commit-truncated',
  'commit-missing-tree',
  'commit-missing-meta',
  'dirtree-file-is-dirmeta',
  'file-wrong-content',
  'file-wrong-mode',
  'file-wrong-xattrs',
]);
/** The bad object is well-formed; what it names is not there, or is of another kind. */
const NAMES_ANOTHER_OBJECT = new Set([
  'commit-missing-tree',
  'commit-missing-meta',
  'dirtree-file-is-dirmeta',
  'dirtree-nested-dotdot',
]);

function expectObjectNamed(
  { id, object_name, object_type }: HostileCase,
  source: string,
  { code, where = {} }: JsonError,
): void {
  expect(where.file?.startsWith(source), `${where.file} lies in ${source}`).toBe(true);
  if (NAMES_ANOTHER_OBJECT.has(id)) expect(where.object).toMatch(/^[0-9a-f]{64}\.(commit|dirtree|dirmeta|file)$/);
  else expect(where.object).toBe(`${object_name}.${object_type}`);
  if (!WITHOUT_FIELD.has(id)) expect(where.field).toMatch(/./);
  if (!WITHOUT_OFFSET.has(id)) expect(where.offset).toBeGreaterThanOrEqual(0);
  if (/^(commit-truncated|file-wrong-.*)$/.test(id)) expect(code).toBe('CFS_DIGEST_MISMATCH');
}

const expectedExit = (id: string): number => (id === 'commit-ref-binding-mismatch' ? UNTRUSTED : CORRUPT);

describe.concurrent('objects', () => {
  /** One of each kind of damage also without the addon. */
  const ALSO_WITHOUT_ADDON = /^(file|filez)-|commit-truncated$|dotdot|name-256|random-bytes|xattr-unsorted/;
  const objects = casesOf('objects');

  test.each(objects.filter(({ verdict }) => verdict === 'reject'))('$id is refused by pull: $reason', async (one) => {
    const path = await unpackRepository(one, sources.path);
    const url = `${server.url}/${one.id}`;
    const victim = await Victim.make(stores.join(one.id));
    const ways: Array<[source: string, env: NodeJS.ProcessEnv]> = [
      [path, {}],
      [url, {}],
    ];
    if (ALSO_WITHOUT_ADDON.test(one.id)) ways.push([path, NO_ADDON], [url, NO_ADDON]);
    for (const [source, env] of ways) {
      const result = await victim.pull(source, HOSTILE_REF, env);
      expect(result.exitCode, result.stderr).toBe(expectedExit(one.id));
      expectObjectNamed(one, source, readError(result));
      await victim.expectNothingLeft();
    }
    await victim.expectClean();
  });

  test.each(objects.filter(({ verdict }) => verdict === 'may-reject'))('$id is taken whole or refused', async (one) => {
    const path = await unpackRepository(one, sources.path);
    for (const [source, env] of [
      [path, {}],
      [`${server.url}/${one.id}`, {}],
      [path, NO_ADDON],
    ] as const) {
      const victim = await Victim.make(stores.join(`${one.id}-${source === path}-${'CFS_OSTREE_NO_ADDON' in env}`));
      const result = await victim.pull(source, HOSTILE_REF, env);
      expect([0, CORRUPT]).toContain(result.exitCode);
      if (result.exitCode === CORRUPT) {
        expectObjectNamed(one, source, readError(result));
        await victim.expectNothingLeft();
      } else expect(await victim.names()).toContain(`streams/refs/ostree/${HOSTILE_REF}`);
      await victim.expectClean();
    }
  });
});

describe.concurrent('bare-user', () => {
  test.each(casesOf('bare-user'))('$id is refused by pull: $reason', async (one) => {
    expect(one.verdict).toBe('reject');
    const path = await unpackRepository(one, sources.path);
    const victim = await Victim.make(stores.join(one.id));
    for (const flags of [[], ['--link=reflink'], ['--link=hard']]) {
      const result = await attack(['--json', '--repo', victim.path, 'pull', ...flags, path, HOSTILE_REF]);
      expect(result.exitCode, result.stderr).toBe(CORRUPT);
      const { where } = readError(result);
      expect(where).toMatchObject({
        file: expect.stringContaining(path),
        object: expect.stringMatching(/^[0-9a-f]{64}\.file$/),
      });
      if (one.id.includes('-ostreemeta-') && !one.id.endsWith('other-mode'))
        expect(where).toMatchObject({ format: 'user.ostreemeta', offset: expect.any(Number) });
      if (one.id === 'bare-user-no-ostreemeta') expect(where?.field).toBe('user.ostreemeta');
      await victim.expectNothingLeft();
    }
    const without = await victim.pull(path, HOSTILE_REF, NO_ADDON);
    expect(without.exitCode).toBe(NO_REPOSITORY);
    await victim.expectNothingLeft();
    await victim.expectClean();
  });
});

describe.concurrent('config and refs', () => {
  test.each([...casesOf('config'), ...casesOf('refs')])('$id is refused by pull: $reason', async (one) => {
    expect(one.verdict).toBe('reject');
    const path = await unpackRepository(one, sources.path);
    const victim = await Victim.make(stores.join(one.id));
    for (const source of [path, `${server.url}/${one.id}`]) {
      const result = await victim.pull(source, HOSTILE_REF);
      expect(result.exitCode, result.stderr).toBe(one.id === 'config-missing' ? NO_REPOSITORY : CORRUPT);
      const { where = {} } = readError(result);
      expect(where.file).toContain(source);
      if (one.category === 'config' && !['config-missing', 'config-garbage'].includes(one.id))
        expect(where.field).toMatch(/./);
      if (['ref-missing-commit', 'ref-names-dirtree'].includes(one.id))
        expect(where.object).toMatch(/^[0-9a-f]{64}\.commit$/);
      else if (one.category === 'refs') expect(where.file).toContain(`refs/heads/${HOSTILE_REF}`);
      await victim.expectNothingLeft();
    }
    await victim.expectClean();
  });
});

describe.concurrent('images', () => {
  const images = casesOf('images');
  const digestCase = images.find(({ id }) => id === 'image-digest-mismatch') as HostileCase;
  /** `dump` writes data, so its errors are text; `ls` walks the same tree, `image-objects` has a walk of its own. */
  const readers = (path: string) => [
    ['dump', `file:${path}`],
    ['--json', 'ls', '-R', `file:${path}`],
    ['--json', 'image-objects', `file:${path}`],
  ];

  test.each(images.filter(({ verdict, id }) => verdict !== 'accept' && id !== digestCase.id))(
    '$id is not read ($verdict): $reason',
    async (one) => {
      const path = await unpackImage(one, sources.path);
      for (const args of readers(path)) {
        const result = await attack(args);
        if (result.exitCode === 0 && one.verdict === 'may-reject') continue;
        expect(result.exitCode, `${args.join(' ')}\n${result.stderr}`).toBe(CORRUPT);
        expect(result.stdout).toBe(''); // refused before the first byte of it was passed on
        if (args[0] === 'dump') expect(result.stderr).toMatch(new RegExp(`^cfs-ostree: ${path}: .+ at offset \\d+: `));
        else
          expect(readError(result).where).toMatchObject({
            file: path,
            format: expect.any(String),
            field: expect.any(String),
            offset: expect.any(Number),
          });
      }
    },
  );

  test.each(images.filter(({ verdict }) => verdict === 'accept'))('$id is read', async (one) => {
    const path = await unpackImage(one, sources.path);
    for (const args of readers(path)) expect(await attack(args)).toMatchObject({ exitCode: 0, stderr: '' });
  });

  test('another digest than the promised one is told, or the image refused', async () => {
    const { id, actual_digest, expected_digest } = digestCase;
    const path = await unpackImage(digestCase, sources.path);
    const result = await attack(['--json', 'compute-id', '--algorithm', 'fsverity-sha256-12', '--image', path]);
    expect(actual_digest, id).not.toBe(expected_digest);
    if (result.exitCode === 0) expect(JSON.parse(result.stdout)).toMatchObject({ image: actual_digest });
    else expect(result.exitCode).toBe(CORRUPT);
  });
});

describe.concurrent('dumps', () => {
  const commands = (path: string) => [
    ['--json', 'compute-id', '--dumpfile', path],
    ['--json', 'ls', '-R', `file:${path}`],
  ];

  test.each(casesOf('dumps').filter(({ verdict }) => verdict !== 'accept'))(
    '$id is not parsed ($verdict): $reason',
    async (one) => {
      const path = dumpfilePath(one);
      for (const args of commands(path)) {
        const result = await attack(args);
        if (result.exitCode === 0 && one.verdict === 'may-reject') continue;
        expect(result.exitCode, `${args.join(' ')}\n${result.stderr}`).toBe(CORRUPT);
        expect(readError(result).where).toMatchObject({
          file: path,
          format: 'dumpfile',
          field: expect.any(String),
          offset: expect.any(Number),
        });
      }
    },
  );

  test.each(casesOf('dumps').filter(({ verdict }) => verdict === 'accept'))('$id is parsed', async (one) => {
    for (const args of commands(dumpfilePath(one)))
      expect(await attack(args)).toMatchObject({ exitCode: 0, stderr: '' });
  });
});
