/** A file server for one directory on loopback: all that an ostree repository needs to be pulled over HTTP. Used by the demo. */

import { createReadStream } from 'node:fs';
import { lstat, realpath } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';

export class StaticServer implements AsyncDisposable {
  readonly url: string;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  }

  /** Listens on a free port of 127.0.0.1; nobody else on the network can reach it. */
  static async start(directory: string): Promise<StaticServer> {
    const root = await realpath(directory);
    const server = createServer((request, response) => {
      serveFile(root, request, response).catch(() => response.destroy());
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    return new StaticServer(server);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

async function serveFile(root: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const end = (status: number) => response.writeHead(status, { 'content-length': 0 }).end();
  if (request.method !== 'GET' && request.method !== 'HEAD') return void end(405);
  const path = pathOf(request.url ?? '/');
  if (path === undefined) return void end(400);
  const file = join(root, path);
  const real = await realpath(file).catch(() => undefined);
  if (real === undefined || !real.startsWith(root + sep)) return void end(404);
  const stat = await lstat(real);
  if (!stat.isFile()) return void end(404);
  response.writeHead(200, { 'content-length': stat.size, 'content-type': 'application/octet-stream' });
  if (request.method === 'HEAD') return void response.end();
  await pipeline(createReadStream(real), response);
}

function pathOf(url: string): string | undefined {
  try {
    const path = decodeURIComponent(url.split('?', 1)[0]);
    return path.includes('\0') ? undefined : path;
  } catch {
    return undefined;
  }
}
