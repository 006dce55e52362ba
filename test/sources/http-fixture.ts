/** A client of a server that misbehaves as told, and the files that both know. */

import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { expect } from 'vitest';
import type { FileBody } from '../../src/formats/file-body.ts';
import { HttpClient, type PlainHttp } from '../../src/sources/http-client.ts';
import { type HttpLocation, parseLocation } from '../../src/sources/location.ts';
import type { SourceOptions } from '../../src/sources/source.ts';
import { type StaticServer, type StaticServerOptions, startStaticServer } from '../support/static-server.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';

const QUICK: SourceOptions = { retries: 2, retryDelayMs: 1, jobs: 4 };
/** For servers that let us wait; long enough for a busy machine. */
export const IMPATIENT: SourceOptions = { headersTimeoutMs: 500, stallTimeoutMs: 500, retries: 0 };
export const SMALL = randomBytes(3000);
/** More than is taken whole. */
export const LARGE = randomBytes((5 << 20) + 123);

/** `small`, `large` and `empty`. */
export async function makeFiles(): Promise<TemporaryDirectory> {
  const directory = await makeTemporaryDirectory();
  await writeFile(directory.join('small'), SMALL);
  await writeFile(directory.join('large'), LARGE);
  await writeFile(directory.join('empty'), '');
  return directory;
}

/** Set for all clients of a test file. */
export const plainHttp = { by: 'own' as PlainHttp };

export const openAt = (url: string, options: SourceOptions = {}): HttpClient =>
  new HttpClient(parseLocation(url) as HttpLocation, { ...QUICK, ...options }, plainHttp.by);

export type Intercept = NonNullable<StaticServerOptions['intercept']>;

export const noIntercept = (): boolean => false;
/** Takes the request and never answers. */
export const silent = (): boolean => true;

/** Runs `work` with a client of a server that answers as `intercept` says, then checks that no connection is left. */
export async function withServer(
  directory: TemporaryDirectory,
  intercept: Intercept,
  work: (client: HttpClient, server: StaticServer) => Promise<void>,
  options: SourceOptions = {},
): Promise<void> {
  await using server = await startStaticServer(directory.path, { intercept });
  const client = openAt(server.url, options);
  try {
    await work(client, server);
  } finally {
    await client.close();
  }
  await poll(() => server.sockets.size).toBe(0);
}

/** For what comes about by itself, soon. */
export const poll = <T>(read: () => T): ReturnType<typeof expect.poll<T>> => expect.poll(read, { timeout: 20_000 });

export const get = (client: HttpClient, path: string, maxBytes = 1 << 20): Promise<Uint8Array | undefined> =>
  client.get(path, { maxBytes });
export const getFile = (client: HttpClient, path: string, signal?: AbortSignal): Promise<FileBody> =>
  client.getFile(path, 'x.filez', signal);

export async function readBody(body: FileBody): Promise<Buffer> {
  if (body.form === 'archive') return Buffer.from(body.bytes);
  const chunks: Uint8Array[] = [];
  for await (const chunk of chunksOf(body)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export function chunksOf(body: FileBody): AsyncIterable<Uint8Array> {
  if (body.form !== 'archive-chunks') throw new Error(`expected a body in chunks, got ${body.form}`);
  return body.chunks;
}

/** Writes until nobody wants any more; `onWrite` is told about every write. */
export function writeForEver(
  response: ServerResponse,
  block: Uint8Array,
  onWrite: (sizeBytes: number) => void = () => {},
): boolean {
  const more = (): void => {
    let isFull = false;
    while (!response.destroyed && !isFull) {
      onWrite(block.length);
      isFull = !response.write(block);
    }
  };
  response.on('drain', more);
  more();
  return true;
}
