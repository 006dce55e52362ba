import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SourceError } from '../../src/errors.ts';
import { findFreePort } from '../support/nginx.ts';
import { startStaticServer } from '../support/static-server.ts';
import type { TemporaryDirectory } from '../support/temporary-directory.ts';
import {
  get,
  getFile,
  IMPATIENT,
  type Intercept,
  LARGE,
  makeFiles,
  noIntercept,
  openAt,
  plainHttp,
  poll,
  readBody,
  SMALL,
  silent,
  withServer,
} from './http-fixture.ts';

let directory: TemporaryDirectory;
beforeAll(async () => {
  directory = await makeFiles();
});
afterAll(() => directory[Symbol.asyncDispose]());

describe.each(['own', 'undici'] as const)('plain HTTP by %s', (by) => {
  beforeAll(() => {
    plainHttp.by = by;
  });

  describe('broken connections', () => {
    /** Sends part of a body and breaks off, `times` times. */
    const breakOff =
      (times: number, headers: Record<string, string | number>, content: Buffer, sentBytes: number): Intercept =>
      (request, response, count) => {
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
      await withServer(directory, breakOff(2, headers, SMALL, 1000), async (client) => {
        expect(Buffer.from((await get(client, '/small')) ?? []).equals(SMALL)).toBe(true);
      });
      await withServer(directory, breakOff(2, headers, SMALL, 1000), async (client) => {
        expect((await readBody(await getFile(client, '/small'))).equals(SMALL)).toBe(true);
      });
      await withServer(directory, breakOff(99, headers, SMALL, 1000), async (client, server) => {
        await expect(getFile(client, '/small')).rejects.toThrow(SourceError);
        expect(server.requests).toHaveLength(3);
      });
    });

    test('a large body that breaks off twice is continued where it was, without a gap', async () => {
      await withServer(
        directory,
        breakOff(2, { 'content-length': LARGE.length }, LARGE, 2 << 20),
        async (client, server) => {
          const body = await getFile(client, '/large');
          expect((await readBody(body)).equals(LARGE)).toBe(true);
          expect(server.requests).toHaveLength(3);
        },
      );
    });

    test('a large body that keeps breaking off ends in an error, not in a short file', async () => {
      await withServer(directory, breakOff(99, { 'content-length': LARGE.length }, LARGE, 2 << 20), async (client) => {
        const body = await getFile(client, '/large');
        await expect(readBody(body)).rejects.toThrow(SourceError);
      });
    });

    test.each([
      ['another size', 200, 'small'],
      ['no longer there', 404, ''],
    ])('a large body that is %s at the second attempt is an error', async (_, status, file) => {
      const changing: Intercept = (request, response, count) => {
        if (count === 1) return breakOff(1, { 'content-length': LARGE.length }, LARGE, 2 << 20)(request, response, 1);
        response.writeHead(status);
        response.end(file === 'small' ? SMALL : undefined);
        return true;
      };
      await withServer(directory, changing, async (client) => {
        const body = await getFile(client, '/large');
        await expect(readBody(body)).rejects.toMatchObject({
          exitCode: expect.toSatisfy((code) => code === 5 || code === 6),
        });
      });
    });

    test('a server that does not answer, or stops in the middle, is given up in time', async () => {
      await withServer(
        directory,
        silent,
        async (client) => {
          await expect(get(client, '/small')).rejects.toThrow(/no answer in time/);
        },
        IMPATIENT,
      );
      const stalling: Intercept = (_, response) => {
        response.writeHead(200, { 'content-length': LARGE.length });
        response.write(SMALL);
        return true;
      };
      await withServer(
        directory,
        stalling,
        async (client) => {
          await expect(get(client, '/large', LARGE.length)).rejects.toThrow(/stalled/);
          await expect(readBody(await getFile(client, '/large'))).rejects.toThrow(/stalled/);
        },
        IMPATIENT,
      );
    });

    test('a slow body is no stalled one', async () => {
      const slow: Intercept = (_, response) => {
        response.writeHead(200, { 'content-length': 6 });
        let sent = 0;
        const timer = setInterval(() => {
          response.write('x');
          if (++sent === 6) clearInterval(timer);
        }, 300);
        return true;
      };
      await withServer(
        directory,
        slow,
        async (client) => {
          expect(await get(client, '/x')).toHaveLength(6); // 1.8 seconds, never 1.2 without a byte
        },
        { ...IMPATIENT, stallTimeoutMs: 1200 },
      );
    });

    test('nobody listens: refused at once, with the address', async () => {
      const client = openAt(`http://127.0.0.1:${await findFreePort()}`, { retries: 5, retryDelayMs: 10_000 });
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
      const client = openAt(`http://127.0.0.1:${(server.address() as { port: number }).port}`);
      await expect(get(client, '/config')).rejects.toThrow(SourceError);
      await client.close();
      server.close();
    });
  });

  describe('redirects', () => {
    const redirect =
      (status: number, location: (path: string) => string | undefined): Intercept =>
      (request, response) => {
        const to = location(request.url ?? '');
        if (to === undefined) return false;
        response.writeHead(status, { location: to });
        response.end('moved');
        return true;
      };

    test.each([301, 302, 303, 307, 308])('%i is followed, on the same server', async (status) => {
      await withServer(
        directory,
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
      const client = openAt(server.url.replace('http://', 'http://user:p%40ss@'));
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
        directory,
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
      const nowhere: Intercept = (_, response) => {
        response.writeHead(302);
        response.end();
        return true;
      };
      await withServer(directory, nowhere, async (client) => {
        await expect(get(client, '/x')).rejects.toThrow(/not to a valid URL/);
      });
    });
  });

  describe('ending', () => {
    test('an aborted signal rejects at once: before the start, under way, and while waiting for another attempt', async () => {
      await withServer(directory, silent, async (client, server) => {
        const reason = new Error('interrupted');
        await expect(getFile(client, '/x', AbortSignal.abort(reason))).rejects.toBe(reason);
        expect(server.requests).toHaveLength(0);
        const controller = new AbortController();
        const requests = Array.from({ length: 20 }, () => getFile(client, '/x', controller.signal));
        const outcome = Promise.allSettled(requests);
        await poll(() => server.requests.length).toBe(4);
        const started = performance.now();
        controller.abort(reason);
        for (const result of await outcome) expect(result).toMatchObject({ status: 'rejected', reason });
        expect(performance.now() - started).toBeLessThan(5000);
      });
      const failing: Intercept = (_, response) => {
        response.writeHead(500);
        response.end();
        return true;
      };
      await withServer(
        directory,
        failing,
        async (client, server) => {
          const controller = new AbortController();
          const request = getFile(client, '/x', controller.signal);
          await poll(() => server.requests.length).toBe(1);
          await sleep(50);
          const reason = new Error('interrupted');
          controller.abort(reason);
          await expect(request).rejects.toBe(reason);
        },
        { retryDelayMs: 60_000 },
      );
    });

    test('an aborted signal ends a body that is being read', async () => {
      const stalling: Intercept = (_, response) => {
        response.writeHead(200, { 'content-length': LARGE.length });
        response.write(SMALL);
        return true;
      };
      await withServer(directory, stalling, async (client) => {
        const controller = new AbortController();
        const reason = new Error('interrupted');
        const reading = readBody(await getFile(client, '/x', controller.signal));
        setTimeout(() => controller.abort(reason), 20);
        await expect(reading).rejects.toBe(reason);
      });
    });

    test('thousands of requests leave no listener on their signal', async () => {
      await withServer(directory, noIntercept, async (client) => {
        const controller = new AbortController();
        let added = 0;
        let removed = 0;
        const { signal } = controller;
        const add = signal.addEventListener.bind(signal);
        const remove = signal.removeEventListener.bind(signal);
        signal.addEventListener = (...args: unknown[]) => {
          added++;
          add(...(args as Parameters<typeof add>));
        };
        signal.removeEventListener = (...args: unknown[]) => {
          removed++;
          remove(...(args as Parameters<typeof remove>));
        };
        await Promise.all(Array.from({ length: 50 }, () => getFile(client, '/small', signal)));
        expect(added).toBeGreaterThan(0);
        expect(removed).toBe(added);
      });
    });

    test('closing ends what is under way, even a connection that is still being made', async () => {
      await withServer(directory, silent, async (client, server) => {
        const requests = Promise.allSettled(Array.from({ length: 10 }, () => getFile(client, '/x')));
        await poll(() => server.requests.length).toBe(4);
        await client.close();
        for (const result of await requests)
          expect(result).toMatchObject({ status: 'rejected', reason: expect.any(SourceError) });
        await expect(get(client, '/x')).rejects.toThrow(/closed/);
      });
      // A server that accepts TCP and never speaks TLS keeps the connection in the making.
      const held: Socket[] = [];
      const mute = createServer((socket) => held.push(socket.on('error', () => {}).resume()));
      mute.listen(0, '127.0.0.1');
      await once(mute, 'listening');
      const client = openAt(`https://127.0.0.1:${(mute.address() as { port: number }).port}`);
      const request = get(client, '/x');
      const outcome = expect(request).rejects.toThrow(SourceError);
      await poll(() => held.length).toBe(1);
      await client.close();
      await outcome;
      await poll(() => held[0].closed).toBe(true);
      mute.close();
    });
  });
});
