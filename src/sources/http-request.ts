/** One GET: redirects, further attempts and the meaning of status codes. What becomes of the body is up to the subclasses. */

import { type CfsError, SourceError, type Where } from '../errors.ts';
import { afterAttempts, isTransient, transportError } from './http-errors.ts';
import type { ResponseController, ResponseHandler } from './http1-connection.ts';
import type { LargeBodyGate } from './large-body-gate.ts';
import { type HttpLocation, withoutCredentials } from './location.ts';

type Controller = ResponseController;
type Headers = Record<string, string | string[] | undefined>;

const MAX_REDIRECTS = 10;
/** Bodies of errors and redirects are read to their end, so that the connection can be used again, if they are no longer than this. */
const MAX_DISCARDED_BYTES = 64 << 10;
const MAX_RETRY_DELAY_MS = 10_000;

/** What a request needs of the client that it belongs to. */
export interface RequestClient {
  readonly base: HttpLocation;
  /** The base without credentials. */
  readonly url: string;
  readonly settings: { readonly retries: number; readonly retryDelayMs: number };
  readonly gate: LargeBodyGate;
  /** Whether the server has ever answered. */
  reached: boolean;
  bytesReceived: number;
  enter(request: HttpRequest): void;
  leave(request: HttpRequest): void;
  dispatch(origin: string, target: string, request: HttpRequest): void;
}

export abstract class HttpRequest implements ResponseHandler {
  readonly signal: AbortSignal | undefined;
  protected readonly client: RequestClient;
  readonly #path: string;
  #controller: Controller | undefined;
  // Where this attempt goes: below the base, or wherever a redirect led.
  #origin: string;
  #target: string;
  #attempts = 1;
  #redirects = 0;
  #status = 0;
  #redirectTo: string | undefined;
  #discardedBytes = 0;
  #retryTimer: NodeJS.Timeout | undefined;
  #finished = false;

  /** @param path percent-encoded, starts with a slash, relative to the client's base */
  constructor(client: RequestClient, path: string, signal: AbortSignal | undefined) {
    this.client = client;
    this.signal = signal;
    this.#path = path;
    this.#origin = client.base.origin;
    this.#target = client.base.basePath + path;
  }

  /** A new attempt starts: forget what came of the body so far. */
  protected abstract onAttempt(): void;
  /** Headers of a 200 are here. */
  protected abstract onBody(sizeBytes: number | undefined): void;
  protected abstract onChunk(chunk: Uint8Array): void;
  /** The body is complete. */
  protected abstract onComplete(): void;
  /** 404 or 410, or 403 (`refused`), which object stores without list permission answer for what they do not have. */
  protected abstract onMissing(refused: boolean): void;
  /** The request is over; nothing follows. */
  protected abstract onFailure(error: unknown): void;

  get isOver(): boolean {
    return this.#finished;
  }

  get where(): Where {
    return { file: `${this.client.url}${this.#path}` };
  }

  start(): void {
    if (this.signal?.aborted) {
      this.#finished = true;
      this.onFailure(this.signal.reason);
      return;
    }
    this.client.enter(this);
    if (!this.#finished) this.#attempt();
  }

  /** Ends the request with an error, unless it is over. Closes its connection when a body is on the way. */
  fail(error: unknown): void {
    if (!this.finish()) return;
    const controller = this.#controller;
    // An HTTP/2 stream that is destroyed in the tick that opened it is never reset: its answer would come to a stream without
    // listeners, whose first error ends the process. One turn later it is safe.
    if (this.#status === 0) setImmediate(() => controller?.abort(new Error('aborted')));
    else controller?.abort(new Error('aborted'));
    this.onFailure(error);
  }

  /** @returns false if the request was over already */
  protected finish(): boolean {
    if (this.#finished) return false;
    this.#finished = true;
    clearTimeout(this.#retryTimer);
    this.client.leave(this);
    return true;
  }

  protected pause(): void {
    this.#controller?.pause();
  }

  protected resume(): void {
    this.#controller?.resume();
  }

  /** Another attempt for a transient failure, if there is one left. */
  protected retry(error: CfsError): void {
    const { retries, retryDelayMs } = this.client.settings;
    if (this.#attempts > retries) {
      this.fail(error);
      return;
    }
    const delayMs = Math.min(retryDelayMs * 2 ** (this.#attempts - 1), MAX_RETRY_DELAY_MS);
    this.#attempts++;
    this.#redirects = 0;
    this.#origin = this.client.base.origin;
    this.#target = this.client.base.basePath + this.#path;
    // Spread out: the requests that failed together should not come back together.
    this.#retryTimer = setTimeout(() => this.#attempt(), delayMs * (0.5 + Math.random() / 2));
  }

  #attempt(): void {
    this.#controller = undefined;
    this.#status = 0;
    this.#redirectTo = undefined;
    this.#discardedBytes = 0;
    this.onAttempt();
    this.client.dispatch(this.#origin, this.#target, this);
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller;
    if (this.#finished) controller.abort(new Error('aborted'));
  }

  onResponseStart(_controller: Controller, status: number, headers: Headers): void {
    if (status < 200 || this.#finished) return;
    this.#status = status;
    this.client.reached = true;
    if (status !== 200) {
      if (typeof headers.location === 'string') this.#redirectTo = headers.location;
      return;
    }
    const coding = headers['content-encoding'];
    if (coding !== undefined && coding !== 'identity') {
      // Checksums and sizes are those of the stored bytes, and no coding was asked for.
      this.#refuse(`the server applies content coding ${JSON.stringify(coding)}, expected none`);
      return;
    }
    const length = headers['content-length'];
    this.onBody(typeof length === 'string' && /^[0-9]+$/.test(length) ? Number(length) : undefined);
  }

  onResponseData(controller: Controller, chunk: Uint8Array): void {
    if (this.#finished) return;
    this.client.bytesReceived += chunk.length;
    if (this.#status === 200) {
      this.onChunk(chunk);
      return;
    }
    this.#discardedBytes += chunk.length;
    // The status is known; onResponseError goes on from there.
    if (this.#discardedBytes > MAX_DISCARDED_BYTES) controller.abort(new Error('long body of an error'));
  }

  onResponseEnd(): void {
    if (this.#finished) return;
    if (this.#status === 200) this.onComplete();
    else this.#conclude();
  }

  onResponseError(controller: Controller | null | undefined, error: Error): void {
    if (this.#finished || (controller && controller !== this.#controller)) return;
    if (this.#status !== 0 && this.#status !== 200) {
      this.#conclude();
      return;
    }
    const explained = transportError(error, this.where, this.#attempts);
    if (isTransient(error, this.client.reached)) this.retry(explained);
    else this.fail(explained);
  }

  #conclude(): void {
    const status = this.#status;
    this.#controller = undefined; // done with this response: nothing to abort
    if ((status >= 301 && status <= 303) || status === 307 || status === 308) this.#redirect();
    else if (status === 404 || status === 410 || status === 403) this.onMissing(status === 403);
    else {
      const error = new SourceError(`HTTP status ${status}${afterAttempts(this.#attempts)}`, this.where);
      if (status === 408 || status === 429 || status >= 500) this.retry(error);
      else this.fail(error);
    }
  }

  #redirect(): void {
    const from = new URL(this.#target, this.#origin);
    const to = this.#redirectTo === undefined ? null : URL.parse(this.#redirectTo, from);
    if (to === null) this.#refuse(`redirected (HTTP status ${this.#status}), but not to a valid URL`);
    else if (to.protocol !== 'https:' && to.protocol !== from.protocol)
      this.#refuse(`redirected from ${from.protocol} to ${withoutCredentials(to)}`);
    else if (++this.#redirects > MAX_REDIRECTS) this.#refuse(`redirected more than ${MAX_REDIRECTS} times`);
    else {
      this.#origin = to.origin;
      this.#target = to.pathname + to.search;
      this.#attempt();
    }
  }

  #refuse(problem: string): void {
    this.fail(new SourceError(problem, this.where));
  }
}
