import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { expect, test } from 'vitest';
import { startDelayProxy } from '../../bench/delay-proxy.ts';

const ONE_WAY_MS = 30;
/** Timers are kept to the millisecond. */
const SLACK_MS = 3;

async function startEcho() {
  const server = createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, [Symbol.dispose]: () => void server.close() };
}

function echoed(socket: Socket, sent: Buffer): Promise<Buffer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let missing = sent.length;
    const collect = (chunk: Buffer): void => {
      chunks.push(chunk);
      missing -= chunk.length;
      if (missing > 0) return;
      socket.off('data', collect);
      resolve(Buffer.concat(chunks));
    };
    socket.on('data', collect);
    socket.write(sent);
  });
}

test('an answer takes a round trip, the first one two, and nothing is lost', async () => {
  using server = await startEcho();
  await using proxy = await startDelayProxy(server.port, ONE_WAY_MS);
  const socket = connect(proxy.port, '127.0.0.1');
  await once(socket, 'connect');

  const timed = async (bytes: Buffer): Promise<number> => {
    const start = performance.now();
    expect((await echoed(socket, bytes)).equals(bytes)).toBe(true);
    return performance.now() - start;
  };
  expect(await timed(Buffer.from('first'))).toBeGreaterThanOrEqual(4 * ONE_WAY_MS - SLACK_MS);
  expect(await timed(Buffer.from('second'))).toBeGreaterThanOrEqual(2 * ONE_WAY_MS - SLACK_MS);
  const large = Buffer.from(Uint32Array.from({ length: 1 << 20 }, (_, i) => i * 2654435761).buffer);
  expect(await timed(large)).toBeGreaterThanOrEqual(2 * ONE_WAY_MS - SLACK_MS);

  expect(await proxy.connections()).toBe(1);
  expect(await proxy.connections()).toBe(0);
  socket.resume().end();
  await once(socket, 'close');
});
