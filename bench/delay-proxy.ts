/**
 * Gives a TCP server on loopback the distance of a remote one: what either side sends arrives a fixed time later, at full bandwidth, and
 * a new connection costs a round trip. Congestion control is not imitated. Runs in a process of its own (`startDelayProxy`).
 */

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';

/** Bytes that are under way in one direction before their sender has to wait. */
const MAX_UNDER_WAY_BYTES = 16 * 2 ** 20;

export interface DelayProxy extends AsyncDisposable {
  port: number;
  /** Connections that were made since it was asked last. */
  connections(): Promise<number>;
}

export async function startDelayProxy(serverPort: number, oneWayMs: number): Promise<DelayProxy> {
  const child = fork(fileURLToPath(import.meta.url), [String(serverPort), String(oneWayMs)]);
  const [port] = await once(child, 'message');
  return {
    port,
    async connections() {
      child.send('connections');
      return (await once(child, 'message'))[0];
    },
    async [Symbol.asyncDispose]() {
      await stop(child);
    },
  };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill();
  await ended;
}

/** Hands on what `from` sends, not before `oneWayMs` have gone by, nor before `connectedAt` plus that. */
function relay(from: Socket, to: Socket, oneWayMs: number, connectedAt: number): void {
  const line: Array<{ due: number; chunk: Buffer | undefined }> = [];
  let underWayBytes = 0;
  let isWaiting = false;
  const deliver = (): void => {
    isWaiting = false;
    const now = performance.now();
    while (line.length > 0 && line[0].due <= now + 0.5) {
      const { chunk } = line.shift() as (typeof line)[number];
      if (chunk === undefined) to.end();
      else {
        to.write(chunk);
        underWayBytes -= chunk.length;
      }
    }
    if (underWayBytes < MAX_UNDER_WAY_BYTES) from.resume();
    if (line.length > 0) wait();
  };
  const wait = (): void => {
    isWaiting = true;
    setTimeout(deliver, Math.max(1, line[0].due - performance.now()));
  };
  const send = (chunk: Buffer | undefined): void => {
    line.push({ due: Math.max(performance.now(), connectedAt) + oneWayMs, chunk });
    underWayBytes += chunk?.length ?? 0;
    if (underWayBytes >= MAX_UNDER_WAY_BYTES) from.pause();
    if (!isWaiting) wait();
  };
  from.on('data', send);
  from.on('end', () => send(undefined));
  from.on('error', () => to.destroy());
  from.on('close', () => {
    if (!from.readableEnded) to.destroy();
  });
}

function serve(serverPort: number, oneWayMs: number): void {
  let connections = 0;
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
    connections++;
    const upstream = connect({ host: '127.0.0.1', port: serverPort, noDelay: true, allowHalfOpen: true });
    const connectedAt = performance.now() + 2 * oneWayMs;
    relay(client, upstream, oneWayMs, connectedAt);
    relay(upstream, client, oneWayMs, connectedAt);
  });
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
  process.on('message', () => {
    process.send?.(connections);
    connections = 0;
  });
  process.on('disconnect', () => process.exit());
}

if (import.meta.main) serve(Number(process.argv[2]), Number(process.argv[3]));
