/** A static file server in the test's own process: HTTP/1.1, or HTTP/2 over TLS. What answers can be replaced, to misbehave. */

import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createSecureServer, type Http2SecureServer } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { join, normalize } from 'node:path';
import { makeCertificate } from './nginx.ts';
import { makeTemporaryDirectory } from './temporary-directory.ts';

export interface StaticServerOptions {
  /** HTTP/2 where the client can, with a certificate made for this run. */
  http2?: boolean;
  /** The path of the file for a requested one, both decoded. */
  rewrite?: (path: string) => string;
  /** Answers a request itself and says true, or leaves it to the files. `count` is that of the request, from 1. */
  intercept?: (request: IncomingMessage, response: ServerResponse, count: number) => boolean;
}

export class StaticServer implements AsyncDisposable {
  /** Without a trailing slash. */
  readonly url: string;
  /** PEM, only with `http2`. */
  readonly certificate: string | undefined;
  readonly requests: { path: string; headers: Record<string, unknown>; protocol: string }[] = [];
  readonly sockets: Set<Socket>;
  readonly #server: Server | Http2SecureServer;

  constructor(server: Server | Http2SecureServer, certificate: string | undefined, sockets: Set<Socket>) {
    this.#server = server;
    this.sockets = sockets;
    this.certificate = certificate;
    const { port } = server.address() as AddressInfo;
    this.url = `${certificate === undefined ? 'http' : 'https'}://127.0.0.1:${port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

export async function startStaticServer(root: string, options: StaticServerOptions = {}): Promise<StaticServer> {
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const path = decodeURIComponent(request.url ?? '/');
    started.requests.push({ path, headers: request.headers, protocol: `HTTP/${request.httpVersion}` });
    if (options.intercept?.(request, response, started.requests.length)) return;
    sendFile(join(root, normalize(`/${options.rewrite?.(path) ?? path}`)), response).catch(() => response.destroy());
  };
  const certificate = options.http2 ? await readCertificate() : undefined;
  // The requests and responses of node:http2 do what those of node:http do, as far as it is used here.
  const server = certificate
    ? createSecureServer({ ...certificate, allowHTTP1: true }, answer as never)
    : createServer(answer);
  const sockets = new Set<Socket>();
  server.on(certificate ? 'secureConnection' : 'connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const started = new StaticServer(server, certificate?.cert, sockets);
  return started;
}

async function readCertificate(): Promise<{ cert: string; key: string }> {
  await using directory = await makeTemporaryDirectory();
  const cert = await readFile(await makeCertificate(directory), 'utf8');
  return { cert, key: await readFile(directory.join('key.pem'), 'utf8') };
}

async function sendFile(path: string, response: ServerResponse): Promise<void> {
  const stats = await stat(path).catch(() => undefined);
  if (!stats?.isFile()) {
    response.writeHead(404, { 'content-type': 'text/html' });
    response.end('<html>not found</html>');
    return;
  }
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': stats.size });
  createReadStream(path)
    .on('error', () => response.destroy())
    .pipe(response);
}
