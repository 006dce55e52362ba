import { writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { CfsError } from '../../src/errors.ts';
import { parseType, serializeVariant } from '../../src/formats/gvariant.ts';
import { type Checksum, fromHex } from '../../src/formats/ids.ts';
import { openSource } from '../../src/sources/open-source.ts';
import { describeSource } from '../contract/source-contract.ts';
import { describeWithPeers } from '../support/peers.ts';
import { runCommand } from '../support/run-command.ts';
import { type StaticServer, startStaticServer } from '../support/static-server.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';
import { readVectorFacts, unpackVectorRepository, vectorRepository } from '../support/vector-repositories.ts';

const C = 'c'.repeat(64) as Checksum;

describe('over HTTP/1.1', () => {
  let server: StaticServer;
  beforeAll(async () => {
    server = await startStaticServer(await vectorRepository('archive'));
  });
  afterAll(async () => {
    await vi.waitFor(() => expect(server.sockets.size).toBe(0)); // every source was disposed of
    await server[Symbol.asyncDispose]();
  });
  describeSource('archive', { open: () => openSource(server.url), mode: 'archive', canList: false });
});

describe('over HTTP, with nothing but a summary', () => {
  let directory: TemporaryDirectory;
  let server: StaticServer;
  beforeAll(async () => {
    directory = await makeTemporaryDirectory();
    await unpackVectorRepository('archive', directory.path);
    const { refs } = readVectorFacts().repos.archive;
    await writeFile(directory.join('summary'), summary(Object.entries(refs).sort()));
    // Below a path, with a slash at its end, that has to be escaped.
    server = await startStaticServer(directory.path, {
      intercept: (request, response) => {
        const isBelow = request.url?.startsWith('/a%20b/%C3%A9/');
        if (isBelow && !request.url?.includes('/refs/')) return false;
        response.writeHead(isBelow ? 404 : 500);
        response.end();
        return true;
      },
      rewrite: (path) => path.replace('/a b/é/', '/'),
    });
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });
  describeSource('archive', { open: () => openSource(`${server.url}/a b/é//`), mode: 'archive', canList: true });
});

describeWithPeers('over HTTP/2', ['openssl'], () => {
  const trusted = getCACertificates('default');
  let server: StaticServer;
  beforeAll(async () => {
    server = await startStaticServer(await vectorRepository('archive'), { http2: true });
    setDefaultCACertificates([...trusted, server.certificate ?? '']);
  });
  afterAll(async () => {
    setDefaultCACertificates(trusted);
    await server[Symbol.asyncDispose]();
  });
  describeSource('archive', { open: () => openSource(server.url), mode: 'archive', canList: false });

  test('really is HTTP/2', () => {
    expect(new Set(server.requests.map(({ protocol }) => protocol))).toEqual(new Set(['HTTP/2.0']));
  });

  test('trusts what NODE_EXTRA_CA_CERTS names, and nothing else', async () => {
    await using directory = await makeTemporaryDirectory();
    await writeFile(directory.join('ca.pem'), server.certificate ?? '');
    const module = new URL('../../src/sources/open-source.ts', import.meta.url);
    const script = `const { openSource } = await import('${module}');
      const source = await openSource('${server.url}');
      console.log(await source.resolveRef('nasty/x86_64/main'));
      await source[Symbol.asyncDispose]();`;
    const args = ['--experimental-transform-types', '--no-warnings', '--input-type=module', '-e', script];
    const trusting = await runCommand(process.execPath, args, {
      env: { ...process.env, NODE_EXTRA_CA_CERTS: directory.join('ca.pem') },
    });
    expect(trusting).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^[0-9a-f]{64}\n$/) });
    const wary = await runCommand(process.execPath, args, { env: { ...process.env, NODE_EXTRA_CA_CERTS: '' } });
    expect(wary).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('SourceError') });
  });
});

describe('what a server must offer', () => {
  const CONFIG = '[core]\nrepo_version=1\nmode=archive-z2\n';
  /** Answers with these bodies, 404 for the rest. */
  async function withFiles(
    files: Record<string, string | Uint8Array>,
    work: (url: string) => Promise<void>,
  ): Promise<void> {
    await using server = await startStaticServer('/nonexistent', {
      intercept: (request, response) => {
        const body = files[decodeURIComponent(request.url ?? '').slice(1)];
        if (body === undefined) return false;
        response.writeHead(200);
        response.end(body);
        return true;
      },
    });
    await work(server.url);
  }
  const failureOf = async (work: Promise<unknown>): Promise<CfsError> => {
    const error = await work.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(CfsError);
    return error as CfsError;
  };

  test.each([
    ['no config', {}, 10, 'RepositoryError'],
    ['bare mode', { config: '[core]\nrepo_version=1\nmode=bare\n' }, 10, 'RepositoryError'],
    ['no mode, which means bare', { config: '[core]\nrepo_version=1\n' }, 10, 'RepositoryError'],
    ['another version', { config: '[core]\nrepo_version=2\nmode=archive\n' }, 5, 'FormatError'],
    ['a page instead of a config', { config: '<!DOCTYPE html><html></html>' }, 5, 'FormatError'],
    ['a huge config', { config: `${CONFIG}#${'x'.repeat(5 << 20)}` }, 5, 'LimitError'],
  ])('%s', async (_, files, exitCode, name) => {
    await withFiles(files as Record<string, string>, async (url) => {
      const error = await failureOf(openSource(url));
      expect(error).toMatchObject({ exitCode, name });
      expect(error.where.file).toContain(url);
    });
  });

  test('the collection id comes from the config', async () => {
    await withFiles({ config: `${CONFIG}collection-id=org.example.Os\n` }, async (url) => {
      await using source = await openSource(url);
      expect(source.collectionId).toBe('org.example.Os');
    });
  });

  test('refs in any script; their values are checked', async () => {
    const files = {
      config: CONFIG,
      'refs/heads/日本/x': `${C}\n`,
      'refs/heads/page': '<html>sign in first</html>',
      'refs/heads/huge': 'a'.repeat(65536),
      'refs/heads/upper': `${'C'.repeat(64)}\n`,
      'refs/heads/two': `${C}\n${C}\n`,
      'refs/heads/empty': '',
    };
    await withFiles(files, async (url) => {
      await using source = await openSource(url);
      expect(await source.resolveRef('日本/x')).toBe(C);
      for (const ref of ['page', 'huge', 'upper', 'two', 'empty']) {
        const error = await failureOf(source.resolveRef(ref));
        expect(error).toMatchObject({ exitCode: 5, where: { file: `${url}/refs/heads/${ref}` } });
      }
    });
  });

  test('a likely ref is asked for beside the config, and again by whoever resolves it again', async () => {
    const answers: ServerResponse[] = [];
    let value = C;
    await using server = await startStaticServer('/nonexistent', {
      intercept: (request, response) => {
        const answer = () => void response.end(request.url === '/config' ? CONFIG : value);
        answers.push(response);
        if (answers.length === 1) return true; // not before the other request is here
        if (answers.length > 2) answer();
        else for (const [i, body] of [CONFIG, value].entries()) setTimeout(() => answers[i].end(body), 20 * i);
        return true;
      },
    });
    await using source = await openSource(server.url, { likelyRef: 'os/main' });
    expect(source.bytesTransferred).toBe(CONFIG.length + value.length); // the slower one too
    value = 'd'.repeat(64) as Checksum;
    expect(await source.resolveRef('os/main')).toBe(C);
    expect(await source.resolveRef('os/main')).toBe(value);
    expect(server.requests.map(({ path }) => path).sort()).toEqual([
      '/config',
      '/refs/heads/os/main',
      '/refs/heads/os/main',
    ]);
  });

  test('a likely ref that cannot be had is told when it is resolved', async () => {
    await withFiles({ config: CONFIG, 'refs/heads/page': '<html>' }, async (url) => {
      for (const [likelyRef, exitCode] of [
        ['none', 4],
        ['page', 5],
        ['../x', 5],
      ] as const) {
        await using source = await openSource(url, { likelyRef, retries: 0 });
        expect(await source.fetchDetachedMetadata(C)).toBeUndefined(); // the answer has come, and nobody has taken it
        expect(await failureOf(source.resolveRef(likelyRef))).toMatchObject({ exitCode });
      }
    });
  });

  test.each([
    ['cut short', summary([['a', C]]).subarray(0, -1)],
    ['a page', new TextEncoder().encode('<html></html>')],
    ['a ref name that is none', summary([['../a', C]])],
    [
      'a ref twice',
      summary([
        ['a', C],
        ['a', C],
      ]),
    ],
    ['a short checksum', summary([['a', 'cc' as Checksum]])],
  ])('a damaged summary: %s', async (_, bytes) => {
    await withFiles({ config: CONFIG, summary: bytes }, async (url) => {
      await using source = await openSource(url);
      for (const work of [() => source.listRefs(), () => source.resolveRef('a')])
        expect(await failureOf(work())).toMatchObject({
          exitCode: 5,
          where: { file: `${url}/summary`, format: 'summary' },
        });
    });
  });

  test('an empty summary is one without refs', async () => {
    await withFiles({ config: CONFIG, summary: summary([]) }, async (url) => {
      await using source = await openSource(url);
      expect(await source.listRefs()).toEqual(new Map());
    });
  });

  test('a page instead of an object is handed out as it is: whoever takes it checks it', async () => {
    const page = '<html>object</html>';
    const path = `objects/cc/${C.slice(2)}`;
    await withFiles({ config: CONFIG, [`${path}.commit`]: page, [`${path}.filez`]: page }, async (url) => {
      await using source = await openSource(url);
      expect(Buffer.from(await source.fetchMetadata(C, 'commit')).toString()).toBe(page);
      expect(await source.openFile(C)).toMatchObject({ form: 'archive' });
    });
  });

  test('an empty commitmeta is there', async () => {
    await withFiles({ config: CONFIG, [`objects/cc/${C.slice(2)}.commitmeta`]: '' }, async (url) => {
      await using source = await openSource(url);
      expect(await source.fetchDetachedMetadata(C)).toEqual(new Uint8Array(0));
    });
  });
});

/** As `ostree summary -u` writes it, without metadata. */
function summary(refs: [string, Checksum][]): Uint8Array {
  const entries = refs.map(([name, checksum]) => [name, [100n, fromHex(checksum), []]]);
  return serializeVariant(parseType('(a(s(taya{sv}))a{sv})'), [entries, []]);
}
