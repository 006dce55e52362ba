import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LimitError, MissingObjectError, SourceError } from '../../src/errors.ts';
import type { FileBody } from '../../src/formats/file-body.ts';
import { HttpClient } from '../../src/sources/http-client.ts';
import { type HttpLocation, parseLocation } from '../../src/sources/location.ts';
import type { SourceOptions } from '../../src/sources/source.ts';
import { findFreePort } from '../support/nginx.ts';
import { describeWithPeers } from '../support/peers.ts';
import { type StaticServer, startStaticServer } from '../support/static-server.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';

const QUICK: SourceOptions = { retries: 2, retryDelayMs: 1, stallTimeoutMs: 150, headersTimeoutMs: 150, jobs: 4 };
const SMALL = randomBytes(3000);
const LARGE = randomBytes((5 << 20) + 123);

let directory: TemporaryDirectory;
beforeAll(async () => {
  directory = await makeTemporaryDirectory();
  await writeFile(directory.join('small'), SMALL);
  await writeFile(directory.join('large'), LARGE);
  await writeFile(directory.join('empty'), '');
});
afterAll(() => directory[Symbol.asyncDispose]());

const openAt = (url: string, options: SourceOptions = {}): Promise<HttpClient> =>
  HttpClient.open(parseLocation(url) as HttpLocation, { ...QUICK, ...options });

/** Runs `work` with a client of a server that answers as `intercept` says, then checks that nothing is left open. */
async function withServer(
  intercept: (request: IncomingMessage, response: ServerResponse, count: number) => boolean,
  work: (client: HttpClient, server: StaticServer) => Promise<void>,
  options: SourceOptions = {},
): Promise<void> {
  let count = 0;
  await using server = await startStaticServer(directory.path, {
    intercept: (request, response) => intercept(request, response, ++count),
  });
  const client = await openAt(server.url, options);
  try {
    await work(client, server);
  } finally {
    await client.close();
  }
  await expect.poll(() => server.sockets.size).toBe(0);
}

const noIntercept = (): boolean => false;
const get = (client: HttpClient, path: string, maxBytes = 1 << 20): Promise<Uint8Array | undefined> =>
  client.get(path, { maxBytes });
const getFile = (client: HttpClient, path: string, signal?: AbortSignal): Promise<FileBody> =>
  client.getFile(path, 'x.filez', signal);

async function readBody(body: FileBody): Promise<Buffer> {
  if (body.form === 'archive') return Buffer.from(body.bytes);
  if (body.form !== 'archive-chunks') throw new Error(body.form);
  const chunks: Uint8Array[] = [];
  for await (const chunk of body.chunks) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe('bodies', () => {
  test('small and empty files come whole, as plain arrays of exactly their bytes', async () => {
    await withServer(noIntercept, async (client) => {
      const small = await get(client, '/small');
      expect(small?.constructor).toBe(Uint8Array);
      expect(Buffer.from(small ?? [])).toEqual(SMALL);
      expect(await get(client, '/empty')).toEqual(new Uint8Array(0));
      expect(await getFile(client, '/small')).toMatchObject({ form: 'archive' });
      expect(await readBody(await getFile(client, '/empty'))).toHaveLength(0);
      expect(client.bytesReceived).toBe(2 * SMALL.length);
    });
  });

  test('a large file comes in chunks, a large whole body in one piece', async () => {
    await withServer(noIntercept, async (client) => {
      const body = await getFile(client, '/large');
      expect(body).toMatchObject({ form: 'archive-chunks', sizeHintBytes: LARGE.length });
      expect((await readBody(body)).equals(LARGE)).toBe(true);
      const whole = await get(client, '/large', LARGE.length);
      expect(Buffer.from(whole ?? []).equals(LARGE)).toBe(true);
      expect(client.bytesReceived).toBe(2 * LARGE.length);
    });
  });

  test.each([1, 100, 1 << 20, (1 << 20) + 1])(
    'chunked transfer coding without a length, %i bytes',
    async (sizeBytes) => {
      const content = LARGE.subarray(0, sizeBytes);
      const chunked = (_: IncomingMessage, response: ServerResponse): boolean => {
        response.writeHead(200);
        response.write(content.subarray(0, 10));
        response.end(content.subarray(10));
        return true;
      };
      await withServer(chunked, async (client) => {
        const body = await getFile(client, '/x');
        expect(body.form).toBe(sizeBytes > 1 << 20 ? 'archive-chunks' : 'archive');
        expect((await readBody(body)).equals(content)).toBe(true);
        expect(Buffer.from((await get(client, '/x', sizeBytes)) ?? []).equals(content)).toBe(true);
      });
    },
  );

  test('several large whole bodies at the same time come into memory one after the other', async () => {
    await withServer(noIntercept, async (client) => {
      const bodies = await Promise.all([1, 2, 3, 4].map(() => get(client, '/large', LARGE.length)));
      for (const body of bodies) expect(Buffer.from(body ?? []).equals(LARGE)).toBe(true);
    });
  });

  test('more requests than connections: all are answered, over no more connections than allowed', async () => {
    await withServer(noIntercept, async (client, server) => {
      let most = 0;
      const bodies = await Promise.all(
        Array.from({ length: 100 }, async () => {
          const body = await get(client, '/small');
          most = Math.max(most, server.sockets.size);
          return body;
        }),
      );
      expect(bodies.every((body) => Buffer.from(body ?? []).equals(SMALL))).toBe(true);
      expect(most).toBeLessThanOrEqual(4);
    });
  });

  test('an unread large body stops the server, and can be given back unread', async () => {
    let sent = 0;
    const endless = (_: IncomingMessage, response: ServerResponse): boolean => {
      response.writeHead(200);
      const more = (): void => {
        while (!response.destroyed && response.write(LARGE)) sent += LARGE.length;
        sent += LARGE.length;
      };
      response.on('drain', more);
      more();
      return true;
    };
    await withServer(endless, async (client, server) => {
      const body = await getFile(client, '/x');
      if (body.form !== 'archive-chunks') throw new Error('expected chunks');
      await sleep(500); // longer than the stall time-out: waiting for the reader is no stall
      const held = sent;
      expect(held).toBeLessThan(64 << 20); // kernel buffers, no more
      const iterator = body.chunks[Symbol.asyncIterator]();
      expect((await iterator.next()).value.length).toBeGreaterThan(0);
      await iterator.return?.();
      expect(await iterator.next()).toEqual({ done: true, value: undefined });
      await expect.poll(() => server.sockets.size).toBe(0);
    });
  });
});

describe('limits', () => {
  test('an announced length over the limit is refused before the body comes', async () => {
    const bomb = (_: IncomingMessage, response: ServerResponse): boolean => {
      response.writeHead(200, { 'content-length': 1 << 30 });
      response.flushHeaders();
      return true;
    };
    await withServer(bomb, async (client) => {
      const failure = get(client, '/x', 1000);
      await expect(failure).rejects.toThrow(LimitError);
      await expect(failure).rejects.toMatchObject({ exitCode: 5, where: { file: `${client.url}/x` } });
    });
  });

  test('an endless body is cut off at the limit', async () => {
    const endless = (_: IncomingMessage, response: ServerResponse): boolean => {
      const more = (): void => {
        while (!response.destroyed && response.write(SMALL));
      };
      response.on('drain', more);
      more();
      return true;
    };
    await withServer(endless, async (client) => {
      await expect(get(client, '/x', 3 << 20)).rejects.toThrow(LimitError);
      expect(client.bytesReceived).toBeLessThan(4 << 20);
    });
  });

  test('a body of single bytes costs no more than its bytes', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n');
        socket.end(`${'1\r\nx\r\n'.repeat(2_500_000)}0\r\n\r\n`);
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = await openAt(`http://127.0.0.1:${(server.address() as { port: number }).port}`);
    const before = process.memoryUsage().heapUsed;
    const body = await getFile(client, '/x');
    if (body.form !== 'archive-chunks') throw new Error('expected chunks');
    await sleep(300);
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(64 << 20);
    expect(await readBody(body)).toHaveLength(2_500_000);
    await client.close();
    server.close();
  });

  test('an endless body of an error does not hold the request up', async () => {
    const endless = (_: IncomingMessage, response: ServerResponse): boolean => {
      response.writeHead(404);
      const more = (): void => {
        while (!response.destroyed && response.write(SMALL));
      };
      response.on('drain', more);
      more();
      return true;
    };
    await withServer(endless, async (client) => {
      expect(await get(client, '/x')).toBeUndefined();
    });
  });
});

describe('status codes', () => {
  const answer =
    (...statuses: number[]) =>
    (_: IncomingMessage, response: ServerResponse, count: number): boolean => {
      const status = statuses[Math.min(count, statuses.length) - 1];
      if (status === 200) return false;
      response.writeHead(status);
      response.end(status === 204 || status === 304 ? undefined : '<html>no</html>');
      return true;
    };

  test.each([404, 410])('%i is a missing object, or nothing where that is allowed', async (status) => {
    await withServer(answer(status), async (client, server) => {
      expect(await get(client, '/small')).toBeUndefined();
      const failure = client.get('/small', { maxBytes: 9999, object: 'x.commit' });
      await expect(failure).rejects.toThrow(MissingObjectError);
      await expect(failure).rejects.toMatchObject({ exitCode: 5, where: { object: 'x.commit' } });
      await expect(getFile(client, '/small')).rejects.toThrow(MissingObjectError);
      expect(server.requests).toHaveLength(3);
    });
  });

  test('403 is a refusal, but counts as missing for what a source need not have', async () => {
    await withServer(answer(403), async (client, server) => {
      await expect(get(client, '/small')).rejects.toThrow(SourceError);
      await expect(getFile(client, '/small')).rejects.toThrow(SourceError);
      expect(await client.get('/small', { maxBytes: 9999, isOptional: true })).toBeUndefined();
      expect(server.requests).toHaveLength(3);
    });
  });

  test.each([400, 401, 204, 206, 304, 300])('%i is refused at once', async (status) => {
    await withServer(answer(status), async (client, server) => {
      const failure = get(client, '/small');
      await expect(failure).rejects.toThrow(SourceError);
      await expect(failure).rejects.toMatchObject({ exitCode: 6, message: expect.stringContaining(String(status)) });
      expect(server.requests).toHaveLength(1);
    });
  });

  test.each([500, 503, 429, 408])('%i is tried again', async (status) => {
    await withServer(answer(status, status, 200), async (client, server) => {
      expect(await get(client, '/small')).toHaveLength(SMALL.length);
      expect(server.requests).toHaveLength(3);
    });
  });

  test('and again no more often than was asked for', async () => {
    await withServer(answer(503), async (client, server) => {
      await expect(getFile(client, '/small')).rejects.toThrow(/503 \(3 attempts\)/);
      expect(server.requests).toHaveLength(3);
    });
    await withServer(
      answer(503),
      async (client, server) => {
        await expect(get(client, '/small')).rejects.toThrow(/503$/);
        expect(server.requests).toHaveLength(1);
      },
      { retries: 0 },
    );
  });

  test('an interim answer is not the answer', async () => {
    const hints = (_: IncomingMessage, response: ServerResponse): boolean => {
      response.writeEarlyHints({ link: '</style.css>; rel=preload' });
      return false;
    };
    await withServer(hints, async (client) => {
      expect(await get(client, '/small')).toHaveLength(SMALL.length);
    });
  });

  test('a content coding that was not asked for is refused', async () => {
    const coded = (_: IncomingMessage, response: ServerResponse): boolean => {
      response.writeHead(200, { 'content-encoding': 'gzip' });
      response.end(SMALL);
      return true;
    };
    await withServer(coded, async (client, server) => {
      await expect(getFile(client, '/small')).rejects.toThrow(/content coding "gzip"/);
      await expect(get(client, '/small')).rejects.toThrow(SourceError);
      expect(server.requests[0].headers).toMatchObject({ 'accept-encoding': 'identity' });
      expect(server.requests[0].headers['user-agent']).toMatch(/^cfs-ostree\/\d+\.\d+\.\d+$/);
    });
  });
});

describe('broken connections', () => {
  /** Sends part of a body and breaks off, `times` times. */
  const breakOff =
    (times: number, headers: Record<string, string | number>, content: Buffer, sentBytes: number) =>
    (request: IncomingMessage, response: ServerResponse, count: number): boolean => {
      if (count > times) return false;
      response.writeHead(200, headers);
      response.write(content.subarray(0, sentBytes), () => request.socket.destroy());
      return true;
    };

  test.each([
    ['with a length', { 'content-length': SMALL.length }],
    ['chunked', {}],
    ['on a connection that is not kept', { 'content-length': SMALL.length, connection: 'close' }],
  ])('an early end %s is tried again', async (_, headers) => {
    await withServer(breakOff(2, headers, SMALL, 1000), async (client) => {
      expect(Buffer.from((await get(client, '/small')) ?? []).equals(SMALL)).toBe(true);
    });
    await withServer(breakOff(2, headers, SMALL, 1000), async (client) => {
      expect((await readBody(await getFile(client, '/small'))).equals(SMALL)).toBe(true);
    });
    await withServer(breakOff(99, headers, SMALL, 1000), async (client, server) => {
      await expect(getFile(client, '/small')).rejects.toThrow(SourceError);
      expect(server.requests).toHaveLength(3);
    });
  });

  test('a large body that breaks off twice is continued where it was, without a gap', async () => {
    await withServer(breakOff(2, { 'content-length': LARGE.length }, LARGE, 2 << 20), async (client, server) => {
      const body = await getFile(client, '/large');
      expect((await readBody(body)).equals(LARGE)).toBe(true);
      expect(server.requests).toHaveLength(3);
    });
  });

  test('a large body that keeps breaking off ends in an error, not in a short file', async () => {
    await withServer(breakOff(99, { 'content-length': LARGE.length }, LARGE, 2 << 20), async (client) => {
      const body = await getFile(client, '/large');
      await expect(readBody(body)).rejects.toThrow(SourceError);
    });
  });

  test.each([
    ['another size', 200, 'small'],
    ['no longer there', 404, ''],
  ])('a large body that is %s at the second attempt is an error', async (_, status, file) => {
    const changing = (request: IncomingMessage, response: ServerResponse, count: number): boolean => {
      if (count === 1) return breakOff(1, { 'content-length': LARGE.length }, LARGE, 2 << 20)(request, response, 1);
      response.writeHead(status);
      response.end(file === 'small' ? SMALL : undefined);
      return true;
    };
    await withServer(changing, async (client) => {
      const body = await getFile(client, '/large');
      await expect(readBody(body)).rejects.toMatchObject({
        exitCode: expect.toSatisfy((code) => code === 5 || code === 6),
      });
    });
  });

  test('a server that does not answer, or stops in the middle, is given up in time', async () => {
    const silent = (): boolean => true;
    await withServer(
      silent,
      async (client) => {
        await expect(get(client, '/small')).rejects.toThrow(/no answer in time/);
      },
      { retries: 1 },
    );
    const stalling = (_: IncomingMessage, response: ServerResponse): boolean => {
      response.writeHead(200, { 'content-length': LARGE.length });
      response.write(SMALL);
      return true;
    };
    await withServer(
      stalling,
      async (client) => {
        await expect(get(client, '/large', LARGE.length)).rejects.toThrow(/stalled/);
        await expect(readBody(await getFile(client, '/large'))).rejects.toThrow(/stalled/);
      },
      { retries: 0 },
    );
  });

  test('a slow body is no stalled one', async () => {
    const slow = (_: IncomingMessage, response: ServerResponse): boolean => {
      response.writeHead(200, { 'content-length': 6 });
      let sent = 0;
      const timer = setInterval(() => {
        response.write('x');
        if (++sent === 6) clearInterval(timer);
      }, 60);
      return true;
    };
    await withServer(
      slow,
      async (client) => {
        expect(await get(client, '/x')).toHaveLength(6);
      },
      { retries: 0 },
    );
  });

  test('nobody listens: refused at once, with the address', async () => {
    const client = await openAt(`http://127.0.0.1:${await findFreePort()}`, { retries: 5, retryDelayMs: 10_000 });
    const failure = get(client, '/config');
    await expect(failure).rejects.toThrow(SourceError);
    await expect(failure).rejects.toMatchObject({
      exitCode: 6,
      message: expect.stringMatching(/^http:.*connection refused$/),
    });
    await client.close();
  });

  test('something else than HTTP answers', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.end('220 mail.example ESMTP\r\n');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = await openAt(`http://127.0.0.1:${(server.address() as { port: number }).port}`);
    await expect(get(client, '/config')).rejects.toThrow(SourceError);
    await client.close();
    server.close();
  });
});

describeWithPeers('over TLS', ['openssl'], () => {
  test('a TLS certificate that nobody vouches for', async () => {
    await using server = await startStaticServer(directory.path, { http2: true });
    const client = await openAt(server.url, { retries: 5, retryDelayMs: 10_000 });
    await expect(get(client, '/small')).rejects.toMatchObject({
      exitCode: 6,
      message: expect.stringContaining('certificate'),
    });
    await client.close();
  });
});

describe('redirects', () => {
  const redirect =
    (status: number, location: (path: string) => string | undefined) =>
    (request: IncomingMessage, response: ServerResponse): boolean => {
      const to = location(request.url ?? '');
      if (to === undefined) return false;
      response.writeHead(status, { location: to });
      response.end('moved');
      return true;
    };

  test.each([301, 302, 303, 307, 308])('%i is followed, on the same server', async (status) => {
    await withServer(
      redirect(status, (path) => (path === '/a/b' ? '../small' : undefined)),
      async (client) => {
        expect(await get(client, '/a/b')).toHaveLength(SMALL.length);
        expect(await readBody(await getFile(client, '/a/b'))).toHaveLength(SMALL.length);
      },
    );
  });

  test('to another server: credentials stay behind, later requests start from the base again', async () => {
    await using other = await startStaticServer(directory.path);
    await using server = await startStaticServer(directory.path, {
      intercept: redirect(302, (path) => `${other.url}${path}?signature=1`),
    });
    const client = await openAt(server.url.replace('http://', 'http://user:p%40ss@'));
    expect(client.url).toBe(server.url);
    await expect(get(client, '/smal%6C')).resolves.toBeUndefined(); // the query is kept, and no file is called so
    await get(client, '/small');
    expect(server.requests).toHaveLength(2);
    expect(server.requests[0].headers.authorization).toBe(`Basic ${Buffer.from('user:p@ss').toString('base64')}`);
    expect(other.requests).toHaveLength(2);
    expect(other.requests[0].path).toContain('?signature=1');
    expect(other.requests[0].headers).not.toHaveProperty('authorization');
    await client.close();
  });

  test.each([
    ['in a circle', '/x'],
    ['to a file', 'file:///etc/passwd'],
    ['to another scheme', 'ftp://127.0.0.1/x'],
    ['to no URL', 'http://[bad'],
  ])('%s is refused', async (_, location) => {
    await withServer(
      redirect(302, () => location),
      async (client, server) => {
        const failure = get(client, '/x');
        await expect(failure).rejects.toThrow(SourceError);
        await expect(failure).rejects.toThrow(/redirected/);
        expect(server.requests.length).toBeLessThanOrEqual(11);
      },
    );
  });

  test('without a location is refused', async () => {
    const nowhere = (_: IncomingMessage, response: ServerResponse): boolean => {
      response.writeHead(302);
      response.end();
      return true;
    };
    await withServer(nowhere, async (client) => {
      await expect(get(client, '/x')).rejects.toThrow(/not to a valid URL/);
    });
  });
});

describe('ending', () => {
  const silent = (): boolean => true;
  const long = { headersTimeoutMs: 60_000, stallTimeoutMs: 60_000 };

  test('an aborted signal rejects at once: before the start, under way, and while waiting for another attempt', async () => {
    await withServer(
      silent,
      async (client, server) => {
        const reason = new Error('interrupted');
        await expect(getFile(client, '/x', AbortSignal.abort(reason))).rejects.toBe(reason);
        expect(server.requests).toHaveLength(0);
        const controller = new AbortController();
        const requests = Array.from({ length: 20 }, () => getFile(client, '/x', controller.signal));
        const outcome = Promise.allSettled(requests);
        await expect.poll(() => server.requests.length).toBe(4);
        const started = performance.now();
        controller.abort(reason);
        for (const result of await outcome) expect(result).toMatchObject({ status: 'rejected', reason });
        expect(performance.now() - started).toBeLessThan(100);
      },
      long,
    );
    const failing = (_: IncomingMessage, response: ServerResponse): boolean => {
      response.writeHead(500);
      response.end();
      return true;
    };
    await withServer(
      failing,
      async (client, server) => {
        const controller = new AbortController();
        const request = getFile(client, '/x', controller.signal);
        await expect.poll(() => server.requests.length).toBe(1);
        await sleep(50);
        const reason = new Error('interrupted');
        controller.abort(reason);
        await expect(request).rejects.toBe(reason);
      },
      { retryDelayMs: 60_000 },
    );
  });

  test('an aborted signal ends a body that is being read', async () => {
    const stalling = (_: IncomingMessage, response: ServerResponse): boolean => {
      response.writeHead(200, { 'content-length': LARGE.length });
      response.write(SMALL);
      return true;
    };
    await withServer(
      stalling,
      async (client) => {
        const controller = new AbortController();
        const reason = new Error('interrupted');
        const reading = readBody(await getFile(client, '/x', controller.signal));
        setTimeout(() => controller.abort(reason), 20);
        await expect(reading).rejects.toBe(reason);
      },
      long,
    );
  });

  test('thousands of requests leave no listener on their signal', async () => {
    await withServer(noIntercept, async (client) => {
      const controller = new AbortController();
      let listeners = 0;
      const { signal } = controller;
      const add = signal.addEventListener.bind(signal);
      const remove = signal.removeEventListener.bind(signal);
      signal.addEventListener = (...args: unknown[]) => {
        listeners++;
        add(...(args as Parameters<typeof add>));
      };
      signal.removeEventListener = (...args: unknown[]) => {
        listeners--;
        remove(...(args as Parameters<typeof remove>));
      };
      await Promise.all(Array.from({ length: 50 }, () => getFile(client, '/small', signal)));
      expect(listeners).toBe(0);
    });
  });

  test('closing ends what is under way, even a connection that is still being made', async () => {
    await withServer(
      silent,
      async (client, server) => {
        const requests = Promise.allSettled(Array.from({ length: 10 }, () => getFile(client, '/x')));
        await expect.poll(() => server.requests.length).toBe(4);
        await client.close();
        for (const result of await requests)
          expect(result).toMatchObject({ status: 'rejected', reason: expect.any(SourceError) });
        await expect(get(client, '/x')).rejects.toThrow(/closed/);
      },
      long,
    );
    // A server that accepts TCP and never speaks TLS keeps the connection in the making.
    const held: Socket[] = [];
    const mute = createServer((socket) => held.push(socket.on('error', () => {}).resume()));
    mute.listen(0, '127.0.0.1');
    await once(mute, 'listening');
    const client = await openAt(`https://127.0.0.1:${(mute.address() as { port: number }).port}`);
    const request = get(client, '/x');
    const outcome = expect(request).rejects.toThrow(SourceError);
    await expect.poll(() => held.length).toBe(1);
    await client.close();
    await outcome;
    await expect.poll(() => held[0].closed).toBe(true);
    mute.close();
  });
});
