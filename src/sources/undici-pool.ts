/** The connections to one server through undici: HTTP/2 where the server has it, HTTP/1.1 otherwise. */

import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { buildConnector, Dispatcher, Pool } from 'undici';
import type { ResponseHandler } from './http1-connection.ts';
import { DEFAULT_CONNECTIONS, type Http1PoolOptions } from './http1-pool.ts';
import { loadUndici } from './load-undici.ts';

/** Requests on one HTTP/2 connection: they cost the server little, and hide the way to it. */
const DEFAULT_STREAMS = 48;

export class UndiciPool {
  readonly #headers: string[];
  readonly #jobs: number | undefined;
  readonly #connector: buildConnector.connector;
  readonly #pool: Pool;
  readonly #sockets = new Set<Socket>();
  #isHttp2 = false;

  constructor(origin: string, options: Http1PoolOptions) {
    const undici = loadUndici();
    this.#headers = [...options.headers];
    this.#jobs = options.jobs;
    this.#connector = undici.buildConnector({ allowH2: true, preferH2: true, timeout: options.connectTimeoutMs });
    this.#pool = new undici.Pool(origin, {
      connections: options.jobs ?? DEFAULT_CONNECTIONS,
      pipelining: 1, // with more, connections were seen to stand still under back-pressure
      allowH2: true,
      headersTimeout: options.headersTimeoutMs,
      bodyTimeout: options.stallTimeoutMs,
      connect: (to, callback) => this.#connect(to, callback),
    });
  }

  /** Requests under way at the same time that make sense, as far as is known yet. */
  get concurrency(): number {
    return this.#jobs ?? (this.#isHttp2 ? DEFAULT_STREAMS : DEFAULT_CONNECTIONS);
  }

  /** @param path with its query; as it goes into the request */
  get(path: string, handler: ResponseHandler): void {
    // What it hands to a handler is more than what a handler of ours asks for.
    this.#pool.dispatch({ path, method: 'GET', headers: this.#headers }, handler as Dispatcher.DispatchHandler);
  }

  /** Closes every connection; requests under way end with an error. */
  async destroy(): Promise<void> {
    await this.#pool.destroy();
    for (const socket of this.#sockets) socket.destroy(new Error('closed'));
  }

  #connect(to: buildConnector.Options, callback: buildConnector.Callback): void {
    const connected = (...result: [null, Socket | TLSSocket] | [Error, null]): void => {
      // On an error there is no second argument at all, whatever the types say.
      const socket = result[1] as TLSSocket | null | undefined;
      if (socket?.alpnProtocol === 'h2') this.#isHttp2 = true;
      callback(...result);
    };
    // The connector returns its socket; one that is still connecting is known to nobody else.
    const socket = this.#connector(to, connected) as unknown as Socket;
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
  }
}
