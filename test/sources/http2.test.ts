import { constants, type Http2ServerResponse, type ServerHttp2Stream } from 'node:http2';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { HttpClient } from '../../src/sources/http-client.ts';
import type { SourceOptions } from '../../src/sources/source.ts';
import { describeWithPeers } from '../support/peers.ts';
import { type StaticServer, startStaticServer } from '../support/static-server.ts';
import type { TemporaryDirectory } from '../support/temporary-directory.ts';
import {
  chunksOf,
  get,
  getFile,
  IMPATIENT,
  LARGE,
  makeFiles,
  noIntercept,
  openAt,
  poll,
  readBody,
  SMALL,
} from './http-fixture.ts';

let directory: TemporaryDirectory;
beforeAll(async () => {
  directory = await makeFiles();
});
afterAll(() => directory[Symbol.asyncDispose]());

describeWithPeers('over TLS', ['openssl'], () => {
  const trusted = getCACertificates('default');
  const withHttp2 = async (
    work: (client: HttpClient, server: StaticServer) => Promise<void>,
    options: SourceOptions = {},
    intercept: (stream: ServerHttp2Stream, count: number) => boolean = noIntercept,
  ): Promise<void> => {
    await using server = await startStaticServer(directory.path, {
      http2: true,
      intercept: (_, response, count) => intercept((response as unknown as Http2ServerResponse).stream, count),
    });
    setDefaultCACertificates([...trusted, server.certificate ?? '']);
    const client = openAt(server.url, { ...options, jobs: undefined });
    try {
      await work(client, server);
    } finally {
      await client.close();
      setDefaultCACertificates(trusted);
    }
  };

  test('a certificate that nobody vouches for', async () => {
    await using server = await startStaticServer(directory.path, { http2: true });
    const client = openAt(server.url, { retries: 5, retryDelayMs: 10_000 });
    await expect(get(client, '/small')).rejects.toMatchObject({
      exitCode: 6,
      message: expect.stringContaining('certificate'),
    });
    await client.close();
  });

  test('HTTP/2: more at the same time, over one connection', async () => {
    await withHttp2(async (client, server) => {
      expect(client.maxConcurrency).toBe(12);
      await get(client, '/small');
      expect(client.maxConcurrency).toBe(48);
      const bodies = await Promise.all(Array.from({ length: 48 }, () => get(client, '/small')));
      expect(bodies.every((body) => Buffer.from(body ?? []).equals(SMALL))).toBe(true);
      expect(server.sockets.size).toBe(1);
      await client.close();
      await poll(() => server.sockets.size).toBe(0);
    });
  });

  test('HTTP/2: a body that nobody reads yet, or any more, holds up no other', async () => {
    await withHttp2(async (client, server) => {
      const unread = await Promise.all([1, 2, 3, 4].map(() => getFile(client, '/large')));
      expect((await readBody(await getFile(client, '/large'))).equals(LARGE)).toBe(true);
      expect(await get(client, '/small')).toHaveLength(SMALL.length);
      const [first, second, ...others] = unread;
      await chunksOf(first)[Symbol.asyncIterator]().return?.();
      expect((await readBody(second)).equals(LARGE)).toBe(true);
      const controller = new AbortController();
      const abandoned = getFile(client, '/large', controller.signal).then(readBody);
      controller.abort(new Error('interrupted'));
      await expect(abandoned).rejects.toThrow('interrupted');
      for (const body of others) expect((await readBody(body)).equals(LARGE)).toBe(true);
      expect(server.sockets.size).toBe(1);
    });
  });

  const breaks: [string, (stream: ServerHttp2Stream) => void][] = [
    ['resets the stream', (stream) => stream.close(constants.NGHTTP2_INTERNAL_ERROR)],
    ['cancels the stream', (stream) => stream.close(constants.NGHTTP2_CANCEL)],
    ['ends the stream early', (stream) => stream.end()],
    [
      'goes away and resets the stream',
      (stream) => {
        stream.session?.goaway();
        stream.close(constants.NGHTTP2_INTERNAL_ERROR);
      },
    ],
    ['closes the connection', (stream) => stream.session?.destroy()],
    ['closes the connection with an error', (stream) => stream.session?.destroy(new Error('broken'))],
  ];
  test.each(breaks)('HTTP/2: a server that %s twice in the middle of a body', async (_, breakOff) => {
    const breaking = (stream: ServerHttp2Stream, count: number): boolean => {
      stream.on('error', () => {});
      stream.session?.on('error', () => {});
      if (count % 3 === 0) return false;
      stream.respond({ ':status': 200, 'content-length': count < 4 ? SMALL.length : LARGE.length });
      stream.write((count < 4 ? SMALL : LARGE).subarray(0, count < 4 ? 1000 : 2 << 20), () => breakOff(stream));
      return true;
    };
    await withHttp2(
      async (client) => {
        expect(Buffer.from((await get(client, '/small')) ?? []).equals(SMALL)).toBe(true);
        expect((await readBody(await getFile(client, '/large'))).equals(LARGE)).toBe(true);
      },
      { stallTimeoutMs: 1000 }, // after a GOAWAY the end of the connection is not always noticed
      breaking,
    );
  });

  test('HTTP/2: a server that never answers, or stops in the middle', async () => {
    const stalling = (stream: ServerHttp2Stream, count: number): boolean => {
      stream.on('error', () => {});
      if (count === 1) return true;
      stream.respond({ ':status': 200 });
      stream.write(SMALL);
      return true;
    };
    await withHttp2(
      async (client) => {
        await expect(get(client, '/small')).rejects.toThrow(/no answer in time/);
        await expect(get(client, '/small')).rejects.toThrow(/stalled/);
      },
      IMPATIENT,
      stalling,
    );
  });

  test('HTTP/2: large whole bodies one after the other', async () => {
    await withHttp2(async (client) => {
      const bodies = await Promise.all([1, 2, 3].map(() => get(client, '/large', LARGE.length)));
      for (const body of bodies) expect(Buffer.from(body ?? []).equals(LARGE)).toBe(true);
    });
  });
});
