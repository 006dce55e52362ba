/** GETs below one base URL over kept-alive connections: a pool for each server that redirects lead to. */

import { SourceError } from '../errors.ts';
import type { FileBody } from '../formats/file-body.ts';
import { readVersion } from '../version.ts';
import { FileRequest, type WholeBodyOptions, WholeBodyRequest } from './http-body.ts';
import type { HttpRequest, RequestClient } from './http-request.ts';
import { DEFAULT_CONNECTIONS, Http1Pool } from './http1-pool.ts';
import { LargeBodyGate } from './large-body-gate.ts';
import type { HttpLocation } from './location.ts';
import type { SourceOptions } from './source.ts';
import { UndiciPool } from './undici-pool.ts';

const DEFAULT_RETRIES = 5;
const DEFAULT_RETRY_DELAY_MS = 250;
const DEFAULT_TIMEOUT_MS = 30_000;
/** Servers that redirects may lead to, beside the base. */
const MAX_ORIGINS = 16;

export type HttpSettings = Required<Omit<SourceOptions, 'signal' | 'jobs' | 'likelyRef'>> & {
  jobs: number | undefined;
};

/** Who speaks plain HTTP: our own connections, at half of undici's price for small objects, or undici, which always speaks TLS. */
export type PlainHttp = 'own' | 'undici';

export class HttpClient implements RequestClient {
  readonly base: HttpLocation;
  /** The base without credentials. */
  readonly url: string;
  readonly settings: HttpSettings;
  readonly gate = new LargeBodyGate();
  /** Bytes of bodies, those of errors included. */
  bytesReceived = 0;
  /** Whether any response has come: a refused connection after that is a restart rather than a wrong address. */
  reached = false;
  readonly #plainHttp: PlainHttp;
  readonly #pools = new Map<string, Http1Pool | UndiciPool>();
  readonly #headers = ['user-agent', `cfs-ostree/${readVersion()}`, 'accept', '*/*', 'accept-encoding', 'identity'];
  readonly #requests = new Set<HttpRequest>();
  readonly #signals = new Map<AbortSignal, { requests: number; abort(): void }>();
  #isClosed = false;

  constructor(base: HttpLocation, options: SourceOptions, plainHttp: PlainHttp = 'own') {
    this.base = base;
    this.url = base.origin + base.basePath;
    this.#plainHttp = plainHttp;
    this.settings = {
      jobs: options.jobs,
      retries: options.retries ?? DEFAULT_RETRIES,
      retryDelayMs: options.retryDelayMs ?? DEFAULT_RETRY_DELAY_MS,
      connectTimeoutMs: options.connectTimeoutMs ?? DEFAULT_TIMEOUT_MS,
      headersTimeoutMs: options.headersTimeoutMs ?? DEFAULT_TIMEOUT_MS,
      stallTimeoutMs: options.stallTimeoutMs ?? DEFAULT_TIMEOUT_MS,
    };
  }

  /** Known better once the first response is here. */
  get maxConcurrency(): number {
    return this.#pools.get(this.base.origin)?.concurrency ?? this.settings.jobs ?? DEFAULT_CONNECTIONS;
  }

  /** A body in one piece; undefined when it is missing and `options.object` is not given. `path` starts with a slash. */
  get(path: string, options: WholeBodyOptions & { object: string }): Promise<Uint8Array>;
  get(path: string, options: WholeBodyOptions): Promise<Uint8Array | undefined>;
  get(path: string, options: WholeBodyOptions): Promise<Uint8Array | undefined> {
    return new Promise((resolve, reject) => new WholeBodyRequest(this, path, options, { resolve, reject }).start());
  }

  getFile(path: string, object: string, signal: AbortSignal | undefined): Promise<FileBody> {
    return new Promise((resolve, reject) => new FileRequest(this, path, object, signal, { resolve, reject }).start());
  }

  /** Sends one attempt of a request. */
  dispatch(origin: string, path: string, request: HttpRequest): void {
    let pool = this.#pools.get(origin);
    if (pool === undefined) {
      if (this.#pools.size > MAX_ORIGINS) {
        request.fail(new SourceError(`redirected to more than ${MAX_ORIGINS} different servers`, request.where));
        return;
      }
      pool = this.#makePool(origin);
      this.#pools.set(origin, pool);
    }
    pool.get(path, request);
  }

  #makePool(origin: string): Http1Pool | UndiciPool {
    // Credentials are for the server they were given for.
    const { authorization } = this.base;
    const options = {
      jobs: this.settings.jobs,
      headers:
        authorization !== undefined && origin === this.base.origin
          ? [...this.#headers, 'authorization', authorization]
          : this.#headers,
      connectTimeoutMs: this.settings.connectTimeoutMs,
      headersTimeoutMs: this.settings.headersTimeoutMs,
      stallTimeoutMs: this.settings.stallTimeoutMs,
    };
    if (origin.startsWith('http:') && this.#plainHttp === 'own') return new Http1Pool(origin, options);
    return new UndiciPool(origin, options);
  }

  /** A request begins. One listener for each signal, not for each request: there are tens of thousands of them. */
  enter(request: HttpRequest): void {
    if (this.#isClosed) {
      request.fail(new SourceError('the source is closed', request.where));
      return;
    }
    this.#requests.add(request);
    const { signal } = request;
    if (signal === undefined) return;
    const known = this.#signals.get(signal);
    if (known !== undefined) {
      known.requests++;
      return;
    }
    const abort = (): void => {
      for (const other of [...this.#requests]) if (other.signal === signal) other.fail(signal.reason);
    };
    this.#signals.set(signal, { requests: 1, abort });
    signal.addEventListener('abort', abort);
  }

  leave(request: HttpRequest): void {
    if (!this.#requests.delete(request) || request.signal === undefined) return;
    const known = this.#signals.get(request.signal);
    if (known === undefined || --known.requests > 0) return;
    request.signal.removeEventListener('abort', known.abort);
    this.#signals.delete(request.signal);
  }

  /** Ends what is under way with a SourceError and closes every connection. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const request of [...this.#requests]) request.fail(new SourceError('the source is closed', request.where));
    await Promise.all([...this.#pools.values()].map((pool) => pool.destroy()));
  }
}
