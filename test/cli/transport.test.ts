import { chmod, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { StaticServer } from '../../src/operations/static-server.ts';
import { runCli, runCliError, runCliJson, startCli } from './run-cli.ts';
import { type OwnWorld, openWorld } from './world.ts';

let world: OwnWorld;
beforeEach(async () => {
  world = await openWorld();
  await runCliJson(['init', '--insecure', './target'], world);
  return () => world[Symbol.asyncDispose]();
});
const target = ['--repo', './target'];
const json = <T>(...args: string[]) => runCliJson<T>(args, world);
const error = (...args: string[]) => runCliError(args, world);
interface Pulled {
  results: Array<Record<string, unknown>>;
}

describe('pull', () => {
  const FIRST_PULL = {
    ref: 'os/main',
    upToDate: false,
    base: [],
    fetched: { metadata: expect.any(Number), files: 6, deltaParts: 0 },
    reused: { metadata: 0, files: 0 },
    digest: 'match',
    signatures: [],
  };

  test.each(['a path', 'a file: URL', 'http:'])('from %s brings the whole commit', async (form) => {
    await using server = await StaticServer.start(join(world.cwd, 'published'));
    const location = { 'a path': './published', 'a file: URL': `file://${world.cwd}/published`, 'http:': server.url }[
      form
    ] as string;
    const { results } = await json<Pulled>('pull', location, 'os/main', ...target);
    expect(results).toMatchObject([{ ...FIRST_PULL, commit: world.second, stream: `ostree-commit-${world.second}` }]);
    expect(Object.keys(results[0])).toEqual([
      ...['ref', 'commit', 'stream', 'streamId', 'upToDate', 'base', 'fetched', 'reused', 'bytesTransferred'],
      ...['bytesWritten', 'elapsedMs', 'digest', 'signatures'],
    ]);
    expect(await json('diff', '--exit-code', 'os/main', 'file:./os.erofs', ...target)).toMatchObject({ changed: [] });
    expect(await json('fsck', ...target)).toMatchObject({ ok: true, findings: [] });
  });

  test('again finds nothing to do', async () => {
    await json('pull', './published', 'os/main', ...target);
    expect(await json<Pulled>('pull', './published', 'os/main', ...target)).toMatchObject({
      results: [{ upToDate: true, fetched: { metadata: 0, files: 0 } }],
    });
    expect((await runCli(['pull', './published', 'os/main', ...target], world)).stdout).toBe(
      `os/main ${world.second} is here already\n`,
    );
  });

  test('fetches only what the base does not have', async () => {
    await json('pull', './published', world.first, '--name', 'start', ...target);
    const { results } = await json<Pulled>(
      'pull',
      './published',
      'os/main',
      '--base',
      'start',
      '--create-image',
      ...target,
    );
    expect(results).toMatchObject([
      { base: [world.first], fetched: { files: 2 }, reused: { files: 4 }, image: world.image },
    ]);
  });

  test('sets the local ref asked for', async () => {
    await json('pull', './published', 'os/main', '--name', 'here', ...target);
    expect(await json('refs', ...target)).toMatchObject([{ ref: 'here', commit: world.second }]);
  });

  test('--dry-run changes nothing', async () => {
    const { results } = await json<Pulled>('pull', '--dry-run', './published', 'os/main', ...target);
    expect(results).toMatchObject([{ upToDate: false, fetched: { files: 6 } }]);
    expect(results[0]).not.toHaveProperty('streamId');
    expect(await readdir(join(world.cwd, 'target'))).toEqual(['meta.json']);
  });

  test('takes --link with and without a value, and not the source for one', async () => {
    await json('pull', '--link', './published', 'os/main', ...target);
    await json('pull', '--link=hard', './published', world.first, '--name', 'x', ...target);
    expect(await json('fsck', ...target)).toMatchObject({ ok: true });
  });

  test.each([
    ['a ref that the source does not have', ['./published', 'os/none'], 4, 'CFS_NOT_FOUND'],
    ['a source that is not there', ['./none', 'os/main'], 10, 'CFS_REPOSITORY'],
    ['a directory that is no repository', ['./tree', 'os/main'], 10, 'CFS_REPOSITORY'],
    ['a port where nobody listens', ['http://127.0.0.1:1/repo', 'os/main'], 6, 'CFS_SOURCE'],
    ['another kind of URL', ['ftp://127.0.0.1/repo', 'os/main'], 2, 'CFS_USAGE'],
    ['a ref that its commit is not bound to', ['./published', 'os/old'], 7, 'CFS_UNTRUSTED'],
    ['a base that is not here', ['./published', 'os/main', '--base', 'none'], 4, 'CFS_NOT_FOUND'],
    ['a name that no ref can have', ['./published', 'a b'], 2, 'CFS_USAGE'],
    ['a local name that no ref can have', ['./published', 'os/main', '--name', '../x'], 2, 'CFS_USAGE'],
    ['one name for two refs', ['./published', 'os/main', 'os/old', '--name', 'x'], 2, 'CFS_USAGE'],
  ])('ends with the right status for %s', async (_title, args, exitCode, code) => {
    expect(await error('pull', ...args, ...target)).toMatchObject({ exitCode, error: { code } });
    expect(await json('refs', ...target)).toEqual([]);
  });

  test('never makes the repository, and says how to', async () => {
    const { exitCode, error: said } = await error('pull', './published', 'os/main', '--repo', './new');
    expect(exitCode).toBe(10);
    expect(said.message).toContain(`cfs-ostree init ${world.cwd}/new`);
  });

  test('refuses damaged objects, names them, and leaves no name behind', async () => {
    const objects = join(world.cwd, 'published/objects');
    const files = (await readdir(objects, { recursive: true })).filter((name) => name.endsWith('.filez'));
    for (const file of files) {
      await chmod(join(objects, file), 0o644);
      await writeFile(join(objects, file), 'not what it was');
    }
    const { exitCode, error: said } = await error('pull', './published', 'os/main', ...target);
    expect(exitCode).toBe(5);
    const named = /[0-9a-f]{64}/.exec(JSON.stringify(said.where))?.[0];
    expect(files.map((file) => file.replace('/', ''))).toContain(`${named}.filez`);
    expect(await json('refs', ...target)).toEqual([]);
    expect(await json('fsck', ...target)).toMatchObject({ ok: true });
    for (const file of files) await rm(join(objects, file));
    expect(await error('pull', './published', 'os/main', ...target)).toMatchObject({
      exitCode: 5,
      error: { code: 'CFS_MISSING_OBJECT' },
    });
  });

  test('an interrupt ends it with 130, and the next one goes on', async () => {
    // A server that answers everything but one file: the pull has work left when the signal comes.
    await using server = await StaticServer.start(join(world.cwd, 'published'));
    let asked = () => {};
    const hanging = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const proxy = createServer(async (request, response) => {
      if (request.url?.endsWith('.filez')) return asked(); // never answered
      const answer = await fetch(new URL(`.${request.url}`, server.url));
      response.writeHead(answer.status);
      response.end(Buffer.from(await answer.arrayBuffer()));
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    try {
      const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
      const child = startCli(['pull', url, 'os/main', ...target], world);
      const exit = new Promise((resolve) => child.once('exit', resolve));
      await hanging;
      child.kill('SIGINT');
      expect(await exit).toBe(130);
      expect(await json('refs', ...target)).toEqual([]);
      expect(await json('fsck', ...target)).toMatchObject({ ok: true });
      const { results } = await json<Pulled>('pull', server.url, 'os/main', ...target);
      expect(results).toMatchObject([{ commit: world.second, fetched: { files: 6 } }]);
      expect(results[0].reused).not.toMatchObject({ metadata: 0 });
    } finally {
      proxy.closeAllConnections();
      proxy.close();
    }
  });
});

describe('commit', () => {
  const commit = (...args: string[]) => json<Record<string, unknown>>('commit', ...args);
  test('has the same id for the same tree and options', async () => {
    const args = [
      './tree',
      '--branch',
      'x',
      '--timestamp',
      '1970-01-01T00:01:40Z',
      '--owner-uid',
      '1',
      '--owner-gid',
      '2',
    ];
    const first = await commit(...args);
    expect(first).toEqual({ commit: expect.stringMatching(/^[0-9a-f]{64}$/), ref: 'x', files: 6, sizeBytes: 205_330 });
    const again = await commit(...args, '--parent', 'none', ...target);
    expect(again.commit).toBe(first.commit);
    const seconds = await commit(
      './tree',
      '--branch',
      'x',
      '--timestamp=100',
      '--owner-uid=1',
      '--owner-gid=2',
      '--parent=none',
    );
    expect(seconds.commit).toBe(first.commit);
    expect(await json('ls', 'x', '/etc/tool')).toMatchObject([{ uid: 1, gid: 2 }]);
  });

  test('follows the branch, unless another parent is named', async () => {
    expect(await commit('./tree', '--branch', 'os/main')).toMatchObject({ parent: world.second, ref: 'os/main' });
    expect(await commit('./tree', '--branch', 'os/main', '--parent', 'os/old')).toMatchObject({ parent: world.first });
    expect(await commit('./tree', '--branch', 'os/main', '--parent', 'none')).not.toHaveProperty('parent');
  });

  test('of a dumpfile has the tree that it describes', async () => {
    await commit('--dumpfile', './os.dump', '--branch', 'from-dump', '--timestamp', '0');
    expect(await json('diff', '--exit-code', 'from-dump', 'os/main')).toMatchObject({ changed: [] });
  });

  test('keeps subject, body and metadata in their order', async () => {
    const metadata = ['--add-metadata-string', 'b=1', '--add-metadata-string', 'a=x=y'];
    await commit('./tree', '--branch', 'x', '--subject', 'S', '--body', 'B', ...metadata);
    const report = await json<{ metadata: object }>('show', 'x');
    expect(report).toMatchObject({ subject: 'S', body: 'B' });
    expect(Object.entries(report.metadata).slice(0, 2)).toEqual([
      ['b', '1'],
      ['a', 'x=y'],
    ]);
  });

  test.each([
    ['no branch', ['./tree'], 2],
    ['no tree', ['--branch', 'x'], 2],
    ['two trees', ['./tree', '--branch', 'x', '--dumpfile', './os.dump'], 2],
    ['a time that is none', ['./tree', '--branch', 'x', '--timestamp', 'soon'], 2],
    ['metadata without a value', ['./tree', '--branch', 'x', '--add-metadata-string', 'novalue'], 2],
    ['a uid that is none', ['./tree', '--branch', 'x', '--owner-uid', '-1'], 2],
    ['a branch that no ref can be', ['./tree', '--branch', 'a b'], 2],
    ['a directory that is not there', ['./none', '--branch', 'x'], 4],
    ['a parent that is not there', ['./tree', '--branch', 'x', '--parent', 'none-such'], 4],
    ['what ostree cannot hold', ['/dev/pts', '--branch', 'x', '--no-xattrs'], 5],
  ])('ends with the right status for %s', async (_title, args, exitCode) => {
    expect(await error('commit', ...args)).toMatchObject({ exitCode });
  });
});

describe('export', () => {
  test('writes what can be pulled again with the same id', async () => {
    const report = await json<Record<string, unknown>>('export', 'os/main', './new');
    expect(report).toEqual({
      refs: [{ ref: 'os/main', commit: world.second }],
      written: expect.any(Number),
      present: 0,
      bytesWritten: expect.any(Number),
    });
    expect(await json('export', 'os/main', './new')).toMatchObject({ written: 0, present: report.written });
    expect(await json<Pulled>('pull', './new', 'os/main', ...target)).toMatchObject({
      results: [{ commit: world.second }],
    });
  });

  test.each(['bare', 'bare-user', 'bare-user-only'])('writes a %s repository', async (mode) => {
    await json('export', 'os/main', './new', '--mode', mode);
    expect((await stat(join(world.cwd, 'new/objects'))).isDirectory()).toBe(true);
    expect(await json<Pulled>('pull', './new', 'os/main', ...target)).toMatchObject({
      results: [{ commit: world.second }],
    });
  });

  test('makes refs of refs, also of one that looks like the beginning of its commit, and of nothing else', async () => {
    const lookalike = world.second.slice(0, 1);
    await json('tag', 'os/main', lookalike);
    await json('export', lookalike, world.first, './exported');
    expect(await readdir(join(world.cwd, 'exported/refs/heads'))).toEqual([lookalike]);
    expect((await readFile(join(world.cwd, 'exported/refs/heads', lookalike), 'utf8')).trim()).toBe(world.second);
  });

  test('says in words what it did', async () => {
    const { stdout } = await runCli(['export', 'os/main', 'os/old', './published'], world);
    expect(stdout).toMatch(
      new RegExp(
        `^os/main ${world.second}\\nos/old ${world.first}\\n0 objects written to \\./published \\(0 B\\), \\d+ were there\\n$`,
      ),
    );
  });

  test.each([
    ['no directory', ['os/main'], 2],
    ['a ref that is not there', ['os/none', './new'], 4],
    ['another mode than the one that is there', ['os/main', './published', '--mode', 'bare'], undefined],
  ])('refuses %s', async (_title, args, exitCode) => {
    const result = await error('export', ...args);
    expect([0, 1]).not.toContain(result.exitCode);
    if (exitCode !== undefined) expect(result.exitCode).toBe(exitCode);
  });
});
