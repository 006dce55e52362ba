/** The HTTP/1.1 connections to one server, and the requests that wait for one. */

import { monotonicMs } from '../monotonic-time.ts';
import { TransportError } from './http-errors.ts';
import { Http1Connection, type Http1Timeouts, type ResponseHandler } from './http1-connection.ts';

/** More connections than this gain nothing (measured on loopback), and servers do not like them. */
export const DEFAULT_CONNECTIONS = 12;
/** A far server is idle for most of the time, and so are the connections to it: one more for each millisecond of the way beyond these. */
const NEAR_MS = 10;
const MAX_CONNECTIONS = 48;
/** How exact time-outs are, at least: each connection is looked at so often within the shortest of them. */
const CHECKS_PER_TIMEOUT = 8;
const MAX_CHECK_INTERVAL_MS = 1000;

export interface Http1PoolOptions extends Http1Timeouts {
  /** Connections; without, as many as make sense. */
  jobs: number | undefined;
  /** Names and values in turn. */
  headers: readonly string[];
}

interface Waiting {
  path: string;
  handler: ResponseHandler;
}

export class Http1Pool {
  readonly #host: string;
  readonly #port: number;
  readonly #options: Http1PoolOptions;
  /** Of every request, behind its path. */
  readonly #requestEnd: string;
  readonly #connections = new Set<Http1Connection>();
  readonly #idle: Http1Connection[] = [];
  readonly #waiting: Waiting[] = [];
  /** The shortest time from a request to its answer: about the way there and back. */
  #answerMs = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  /** @param origin `http://host:port` */
  constructor(origin: string, options: Http1PoolOptions) {
    const { host, hostname, port } = new URL(origin);
    this.#host = hostname.replace(/^\[|\]$/g, ''); // an IPv6 address
    this.#port = port === '' ? 80 : Number(port);
    this.#options = options;
    let fields = `host: ${host}\r\nconnection: keep-alive\r\n`;
    for (let i = 0; i < options.headers.length; i += 2)
      fields += `${options.headers[i]}: ${options.headers[i + 1]}\r\n`;
    this.#requestEnd = ` HTTP/1.1\r\n${fields}\r\n`;
  }

  /** Requests under way at the same time that make sense, as far as is known yet. */
  get concurrency(): number {
    const { jobs } = this.#options;
    if (jobs !== undefined) return jobs;
    const further = Number.isFinite(this.#answerMs) ? Math.max(0, Math.floor(this.#answerMs) - NEAR_MS) : 0;
    return Math.min(DEFAULT_CONNECTIONS + further, MAX_CONNECTIONS);
  }

  /** @param path with its query; as it goes into the request */
  get(path: string, handler: ResponseHandler): void {
    if (/[^\x21-\x7e]/.test(path)) throw new TypeError(`${JSON.stringify(path)} is not percent-encoded`);
    const idle = this.#takeIdle();
    if (idle !== undefined) this.#send(idle, path, handler);
    else if (this.#connections.size < this.concurrency) this.#send(this.#connect(), path, handler);
    else this.#waiting.push({ path, handler });
  }

  /**
   * Closes every connection; requests under way end with an error, those that wait are forgotten. The idle ones are closed a moment
   * later: a process that ends by then need not load what Node closes them with.
   */
  destroy(): void {
    this.#waiting.length = 0;
    for (const connection of [...this.#connections]) {
      const close = () => connection.close(new TransportError('HTTP_CLOSED'));
      if (connection.isIdle) setImmediate(close);
      else close();
    }
  }

  #send(connection: Http1Connection, path: string, handler: ResponseHandler): void {
    connection.send(`GET ${path}${this.#requestEnd}`, handler);
  }

  #takeIdle(): Http1Connection | undefined {
    const nowMs = monotonicMs();
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      idle.checkTime(nowMs);
      if (idle.isIdle) return idle;
    }
    return undefined;
  }

  #connect(): Http1Connection {
    const connection = new Http1Connection(this.#host, this.#port, this.#options, {
      onAnswer: (afterMs) => {
        if (afterMs < this.#answerMs) this.#answerMs = afterMs;
      },
      onFree: (free) => this.#onFree(free),
    });
    this.#connections.add(connection);
    this.#timer ??= setInterval(() => this.#checkTimes(), this.#checkIntervalMs());
    return connection;
  }

  #checkIntervalMs(): number {
    const { connectTimeoutMs, headersTimeoutMs, stallTimeoutMs } = this.#options;
    const shortestMs = Math.min(connectTimeoutMs, headersTimeoutMs, stallTimeoutMs);
    return Math.max(1, Math.min(shortestMs / CHECKS_PER_TIMEOUT, MAX_CHECK_INTERVAL_MS));
  }

  #checkTimes(): void {
    const nowMs = monotonicMs();
    for (const connection of [...this.#connections]) connection.checkTime(nowMs);
  }

  #onFree(connection: Http1Connection): void {
    if (connection.isClosed) this.#connections.delete(connection);
    const next = this.#nextWaiting();
    if (next === undefined) {
      if (!connection.isClosed) this.#idle.push(connection);
      if (this.#connections.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
      return;
    }
    this.#send(connection.isClosed ? this.#connect() : connection, next.path, next.handler);
  }

  #nextWaiting(): Waiting | undefined {
    let next = this.#waiting.shift();
    while (next?.handler.isOver) next = this.#waiting.shift();
    return next;
  }
}
