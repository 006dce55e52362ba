import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LimitError, MissingObjectError, SourceError } from '../../src/errors.ts';
import type { TemporaryDirectory } from '../support/temporary-directory.ts';
import {
  chunksOf,
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
  withServer,
  writeForEver,
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

  describe('bodies', () => {
    test('small and empty files come whole, as plain arrays of exactly their bytes', async () => {
      await withServer(directory, noIntercept, async (client) => {
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
      await withServer(directory, noIntercept, async (client) => {
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
        const chunked: Intercept = (_, response) => {
          response.writeHead(200);
          response.write(content.subarray(0, 10));
          response.end(content.subarray(10));
          return true;
        };
        await withServer(directory, chunked, async (client) => {
          const body = await getFile(client, '/x');
          expect(body.form).toBe(sizeBytes > 1 << 20 ? 'archive-chunks' : 'archive');
          expect((await readBody(body)).equals(content)).toBe(true);
          expect(Buffer.from((await get(client, '/x', sizeBytes)) ?? []).equals(content)).toBe(true);
        });
      },
    );

    test('several large whole bodies at the same time come into memory one after the other', async () => {
      await withServer(directory, noIntercept, async (client) => {
        const bodies = await Promise.all([1, 2, 3, 4].map(() => get(client, '/large', LARGE.length)));
        for (const body of bodies) expect(Buffer.from(body ?? []).equals(LARGE)).toBe(true);
      });
    });

    test('more requests than connections: all are answered, over no more connections than allowed', async () => {
      await withServer(directory, noIntercept, async (client, server) => {
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
      const endless: Intercept = (_, response) =>
        writeForEver(response, LARGE, (sizeBytes) => {
          sent += sizeBytes;
        });
      await withServer(
        directory,
        endless,
        async (client, server) => {
          const body = await getFile(client, '/x');
          await sleep(1000); // longer than the stall time-out: waiting for the reader is no stall
          const held = sent;
          expect(held).toBeLessThan(64 << 20); // kernel buffers, no more
          const iterator = chunksOf(body)[Symbol.asyncIterator]();
          expect((await iterator.next()).value.length).toBeGreaterThan(0);
          await iterator.return?.();
          expect(await iterator.next()).toEqual({ done: true, value: undefined });
          await poll(() => server.sockets.size).toBe(0);
        },
        IMPATIENT,
      );
    });
  });

  describe('limits', () => {
    test('an announced length over the limit is refused before the body comes', async () => {
      const bomb: Intercept = (_, response) => {
        response.writeHead(200, { 'content-length': 1 << 30 });
        response.flushHeaders();
        return true;
      };
      await withServer(directory, bomb, async (client) => {
        const failure = get(client, '/x', 1000);
        await expect(failure).rejects.toThrow(LimitError);
        await expect(failure).rejects.toMatchObject({ exitCode: 5, where: { file: `${client.url}/x` } });
      });
    });

    test('an endless body is cut off at the limit', async () => {
      const endless: Intercept = (_, response) => writeForEver(response, SMALL);
      await withServer(directory, endless, async (client) => {
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
      const client = openAt(`http://127.0.0.1:${(server.address() as { port: number }).port}`);
      const before = process.memoryUsage().heapUsed;
      const body = await getFile(client, '/x');
      await sleep(300);
      expect(process.memoryUsage().heapUsed - before).toBeLessThan(64 << 20);
      expect(await readBody(body)).toHaveLength(2_500_000);
      await client.close();
      server.close();
    });

    test('an endless body of an error does not hold the request up', async () => {
      const endless: Intercept = (_, response) => writeForEver(response.writeHead(404), SMALL);
      await withServer(directory, endless, async (client) => {
        expect(await get(client, '/x')).toBeUndefined();
      });
    });
  });

  describe('status codes', () => {
    const answer =
      (...statuses: number[]): Intercept =>
      (_, response, count) => {
        const status = statuses[Math.min(count, statuses.length) - 1];
        if (status === 200) return false;
        response.writeHead(status);
        response.end(status === 204 || status === 304 ? undefined : '<html>no</html>');
        return true;
      };

    test.each([404, 410])('%i is a missing object, or nothing where that is allowed', async (status) => {
      await withServer(directory, answer(status), async (client, server) => {
        expect(await get(client, '/small')).toBeUndefined();
        const failure = client.get('/small', { maxBytes: 9999, object: 'x.commit' });
        await expect(failure).rejects.toThrow(MissingObjectError);
        await expect(failure).rejects.toMatchObject({ exitCode: 5, where: { object: 'x.commit' } });
        await expect(getFile(client, '/small')).rejects.toThrow(MissingObjectError);
        expect(server.requests).toHaveLength(3);
      });
    });

    test('403 is a refusal, but counts as missing for what a source need not have', async () => {
      await withServer(directory, answer(403), async (client, server) => {
        await expect(get(client, '/small')).rejects.toThrow(SourceError);
        await expect(getFile(client, '/small')).rejects.toThrow(SourceError);
        expect(await client.get('/small', { maxBytes: 9999, isOptional: true })).toBeUndefined();
        expect(server.requests).toHaveLength(3);
      });
    });

    test.each([400, 401, 204, 206, 304, 300])('%i is refused at once', async (status) => {
      await withServer(directory, answer(status), async (client, server) => {
        const failure = get(client, '/small');
        await expect(failure).rejects.toThrow(SourceError);
        await expect(failure).rejects.toMatchObject({ exitCode: 6, message: expect.stringContaining(String(status)) });
        expect(server.requests).toHaveLength(1);
      });
    });

    test.each([500, 503, 429, 408])('%i is tried again', async (status) => {
      await withServer(directory, answer(status, status, 200), async (client, server) => {
        expect(await get(client, '/small')).toHaveLength(SMALL.length);
        expect(server.requests).toHaveLength(3);
      });
    });

    test('and again no more often than was asked for', async () => {
      await withServer(directory, answer(503), async (client, server) => {
        await expect(getFile(client, '/small')).rejects.toThrow(/503 \(3 attempts\)/);
        expect(server.requests).toHaveLength(3);
      });
      await withServer(
        directory,
        answer(503),
        async (client, server) => {
          await expect(get(client, '/small')).rejects.toThrow(/503$/);
          expect(server.requests).toHaveLength(1);
        },
        { retries: 0 },
      );
    });

    test('an interim answer is not the answer', async () => {
      const hints: Intercept = (_, response) => {
        response.writeEarlyHints({ link: '</style.css>; rel=preload' });
        return false;
      };
      await withServer(directory, hints, async (client) => {
        expect(await get(client, '/small')).toHaveLength(SMALL.length);
      });
    });

    test('a content coding that was not asked for is refused', async () => {
      const coded: Intercept = (_, response) => {
        response.writeHead(200, { 'content-encoding': 'gzip' });
        response.end(SMALL);
        return true;
      };
      await withServer(directory, coded, async (client, server) => {
        await expect(getFile(client, '/small')).rejects.toThrow(/content coding "gzip"/);
        await expect(get(client, '/small')).rejects.toThrow(SourceError);
        expect(server.requests[0].headers).toMatchObject({ 'accept-encoding': 'identity' });
        expect(server.requests[0].headers['user-agent']).toMatch(/^cfs-ostree\/\d+\.\d+\.\d+$/);
      });
    });
  });
});
