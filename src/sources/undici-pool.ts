/** The connections to one server through undici: HTTP/2 where the server has it, HTTP/1.1 otherwise. */

import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { buildConnector, Dispatcher, Pool } from 'undici';
import type { ResponseHandler } from './http1-connection.ts';
import type { Http1PoolOptions } from './http1-pool.ts';
import { loadUndici } from './load-undici.ts';

export class UndiciPool {
  readonly #headers: string[];
  readonly #onHttp2: () => void;
  readonly #connector: buildConnector.connector;
  readonly #pool: Pool;
  readonly #sockets = new Set<Socket>();

  /** @param onHttp2 called when the server turns out to have it */
  constructor(origin: string, options: Http1PoolOptions, onHttp2: () => void) {
    const undici = loadUndici();
    this.#headers = [...options.headers];
    this.#onHttp2 = onHttp2;
    this.#connector = undici.buildConnector({ allowH2: true, preferH2: true, timeout: options.connectTimeoutMs });
    this.#pool = new undici.Pool(origin, {
      connections: options.connections,
      pipelining: 1, // with more, connections were seen to stand still under back-pressure
      allowH2: true,
      headersTimeout: options.headersTimeoutMs,
      bodyTimeout: options.stallTimeoutMs,
      connect: (to, callback) => this.#connect(to, callback),
    });
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
      if (socket?.alpnProtocol === 'h2') this.#onHttp2();
      callback(...result);
    };
    // The connector returns its socket; one that is still connecting is known to nobody else.
    const socket = this.#connector(to, connected) as unknown as Socket;
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
  }
}
