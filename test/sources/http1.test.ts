/** Our own HTTP/1.1 against a server that writes each answer byte by byte as told. */

import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { SourceError } from '../../src/errors.ts';
import { ProtocolError } from '../../src/sources/http-errors.ts';
import { ChunkedDecoder } from '../../src/sources/http1-chunked.ts';
import { parseResponseHead } from '../../src/sources/http1-head.ts';
import { get, openAt } from './http-fixture.ts';

interface RawServer extends AsyncDisposable {
  url: string;
  connections: number;
  requests: string[];
}

/** `answer` writes to the socket; `count` is that of the request, from 1. */
async function rawServer(answer: (socket: Socket, count: number) => void): Promise<RawServer> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    raw.connections++;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', (data) => {
      raw.requests.push(data.toString('latin1'));
      answer(socket, raw.requests.length);
    });
  });
  server.listen(0, 'localhost');
  await once(server, 'listening');
  const raw: RawServer = {
    url: `http://localhost:${(server.address() as { port: number }).port}`,
    connections: 0,
    requests: [],
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
  return raw;
}

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

async function expectRefused(answer: string, problem: RegExp): Promise<void> {
  await using server = await rawServer((socket) => socket.write(answer, 'latin1'));
  const client = openAt(server.url);
  const failure = get(client, '/x');
  await expect(failure).rejects.toThrow(SourceError);
  await expect(failure).rejects.toThrow(problem);
  expect(server.requests).toHaveLength(1); // asking again would not help
  await client.close();
}

describe('answers', () => {
  test.each([
    ['in single bytes', OK],
    ['without a reason', 'HTTP/1.1 200\r\nContent-Length:2\r\n\r\nok'],
    ['after interim ones', `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n${OK}`],
    ['chunked', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1;a=b\r\no\r\n01\r\nk\r\n0\r\nx: y\r\n\r\n'],
    ['with a long head', `HTTP/1.1 200 OK\r\nx: ${'x'.repeat(15_000)}\r\ncontent-length: 2\r\n\r\nok`],
  ])('%s are understood, and the connection is used again', async (_, answer) => {
    await using server = await rawServer((socket, count) => {
      if (count % 2 === 0) socket.write(answer, 'latin1');
      else
        void (async () => {
          for (const byte of answer.length > 1000 ? (answer.match(/.{1,999}/gs) ?? []) : answer) {
            socket.write(byte, 'latin1');
            await new Promise(setImmediate);
          }
        })();
    });
    const client = openAt(server.url, { jobs: 1 });
    for (let i = 0; i < 4; i++) expect(Buffer.from((await get(client, '/x')) ?? []).toString()).toBe('ok');
    expect(server.connections).toBe(1);
    expect(server.requests[0]).toMatch(
      /^GET \/x HTTP\/1\.1\r\nhost: localhost:\d+\r\nconnection: keep-alive\r\n.*\r\n\r\n$/s,
    );
    await client.close();
  });

  test.each([
    ['one that says it closes', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\nConnection: foo, Close\r\n\r\nok'],
    ['HTTP/1.0', 'HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok'],
    ['more than was announced', `${OK}HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil`],
  ])('%s: the next request takes another connection', async (_, answer) => {
    await using server = await rawServer((socket) => socket.write(answer, 'latin1'));
    const client = openAt(server.url, { jobs: 1 });
    for (let i = 0; i < 3; i++) expect(Buffer.from((await get(client, '/x')) ?? []).toString()).toBe('ok');
    expect(server.connections).toBe(3);
    await client.close();
  });

  test('a body that only the end of the connection ends', async () => {
    await using server = await rawServer((socket) => socket.end('HTTP/1.1 200 OK\r\n\r\nall of it'));
    const client = openAt(server.url);
    expect(Buffer.from((await get(client, '/x')) ?? []).toString()).toBe('all of it');
    await client.close();
  });

  test('a server that closes after each answer without a word', async () => {
    await using server = await rawServer((socket) => socket.end(OK));
    const client = openAt(server.url, { jobs: 1 });
    for (let i = 0; i < 5; i++) {
      expect(await get(client, '/x')).toHaveLength(2);
      await sleep(20);
    }
    expect(server.requests).toHaveLength(5);
    await client.close();
  });

  test('a connection that the server keeps for a second only is not used after it', async () => {
    const brief = OK.replace('\r\n\r\n', '\r\nkeep-alive: timeout=1, max=9\r\n\r\n');
    await using server = await rawServer((socket) => socket.write(brief));
    const client = openAt(server.url, { jobs: 1 });
    await get(client, '/x');
    await get(client, '/x');
    expect(server.connections).toBe(2);
    await client.close();
  });
});

describe('answers that are refused', () => {
  test.each([
    ['no HTTP', '220 mail.example ESMTP\r\n\r\n', /status line/],
    ['no HTTP and no line', '220 mail', /status line/],
    ['HTTP/2', 'HTTP/2 200 OK\r\n\r\n', /status line/],
    ['another protocol', 'HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n', /protocol/],
    ['a status that is none', 'HTTP/1.1 2000 OK\r\n\r\n', /status line/],
    ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok', /two content-length/],
    ['a negative length', 'HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok', /no length/],
    ['a length in a list', 'HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nok', /no length/],
    ['a huge length', 'HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\nok', /no length/],
    ['a length and chunks', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\nok', /both/],
    ['another transfer coding', 'HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n', /gzip/],
    ['a folded line', 'HTTP/1.1 200 OK\r\na: b\r\n c\r\ncontent-length: 2\r\n\r\nok', /malformed/],
    ['a space before the colon', 'HTTP/1.1 200 OK\r\ncontent-length : 2\r\n\r\nok', /malformed/],
    ['a lone line feed', 'HTTP/1.1 200 OK\r\na: b\nc: d\r\n\r\nok', /malformed/],
    ['NUL', 'HTTP/1.1 200 OK\r\na: \0\r\n\r\nok', /malformed/],
    ['a head without end', `HTTP/1.1 200 OK\r\na: ${'x'.repeat(100_000)}`, /too long/],
    ['interim answers without end', 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(99), /interim/],
    ['a chunk size that is none', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n', /size of a chunk/],
    ['a chunk that goes on', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nok\r\n0\r\n\r\n', /longer/],
  ])('%s', (_, answer, problem) => expectRefused(answer, problem));
});

describe('slow answers', () => {
  test('a head that comes drop by drop is given up in time, though something keeps coming', async () => {
    await using server = await rawServer((socket) => {
      const timer = setInterval(() => socket.write('x'), 20).unref();
      socket.write('HTTP/1.1 200 OK\r\na: ');
      socket.once('close', () => clearInterval(timer));
    });
    const client = openAt(server.url, { headersTimeoutMs: 400, retries: 0 });
    await expect(get(client, '/x')).rejects.toThrow(/no answer in time/);
    await client.close();
  });
});

test('the longer the way, the more connections', async () => {
  const far = await rawServer((socket) => setTimeout(() => socket.write(OK), 30));
  await using near = await rawServer((socket) => socket.write(OK));
  for (const [server, least, most] of [
    [far, 30, 48],
    [near, 12, 12],
  ] as const) {
    const client = openAt(server.url, { jobs: undefined });
    expect(client.maxConcurrency).toBe(12);
    for (let i = 0; i < 9; i++) await get(client, '/x'); // the shortest time counts: a busy machine is no long way
    expect(client.maxConcurrency).toBeGreaterThanOrEqual(least);
    expect(client.maxConcurrency).toBeLessThanOrEqual(most);
    const before = client.maxConcurrency;
    await Promise.all(Array.from({ length: 200 }, () => get(client, '/x')));
    expect(server.connections).toBeLessThanOrEqual(before);
    expect(server.connections).toBeGreaterThanOrEqual(client.maxConcurrency); // a shorter time may have been seen meanwhile
    await client.close();
  }
  const client = openAt(far.url, { jobs: 3 });
  for (let i = 0; i < 3; i++) await get(client, '/x');
  expect(client.maxConcurrency).toBe(3);
  await client.close();
  await far[Symbol.asyncDispose]();
});

describe('parts', () => {
  test('of a head', () => {
    const head = parseResponseHead(
      'HTTP/1.1 302 Found\r\nLocation: /a \r\nKeep-Alive: timeout=5, max=100\r\nContent-Length: 12\r\nContent-Encoding: br\r\n',
    );
    expect(head).toEqual({
      status: 302,
      headers: { location: '/a', 'content-length': '12', 'content-encoding': 'br' },
      body: { form: 'length', sizeBytes: 12 },
      isKeptAlive: true,
      idleSeconds: 5,
    });
    expect(parseResponseHead('HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n').body).toMatchObject({
      sizeBytes: 0,
    });
    expect(parseResponseHead('HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\ncontent-length: 9\r\n').isKeptAlive).toBe(
      true,
    );
  });

  test('of a chunked body, cut anywhere', () => {
    const bytes = Buffer.from('5\r\nhello\r\n0A ; q="x"\r\n, world!\r\n\r\n0\r\ntrailer: t\r\n\r\nrest');
    for (let cut = 0; cut <= bytes.length; cut++) {
      const decoder = new ChunkedDecoder();
      let text = '';
      const add = (start: number, end: number): boolean => {
        text += bytes.toString('latin1', start, end);
        return true;
      };
      const first = decoder.decode(bytes, 0, cut, add);
      const stop = decoder.isDone ? first : decoder.decode(bytes, first, bytes.length, add);
      expect(text).toBe('hello, world!\r\n');
      expect(decoder.isDone).toBe(true);
      expect(stop).toBe(bytes.length - 4);
    }
    for (const bad of ['\r\n', 'x\r\n', '1\n', `${'1'.repeat(14)}\r\n`, `1;${'x'.repeat(5000)}`, '1\r\nab\r\n'])
      expect(() => new ChunkedDecoder().decode(Buffer.from(bad), 0, bad.length, () => true)).toThrow(ProtocolError);
    const trailers = Buffer.from(`0\r\n${'a: b\r\n'.repeat(10_000)}`);
    expect(() => new ChunkedDecoder().decode(trailers, 0, trailers.length, () => true)).toThrow(ProtocolError);
  });
});
