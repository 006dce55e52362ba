/**
 * One HTTP/1.1 connection without TLS, for the flood of small objects: it reads into one buffer that is used again and again, and
 * makes next to no objects for a response. One request at a time.
 */

import { connect, type Socket } from 'node:net';
import { monotonicMs } from '../monotonic-time.ts';
import { ProtocolError, TransportError } from './http-errors.ts';
import { ChunkedDecoder } from './http1-chunked.ts';
import { parseResponseHead, type ResponseHead } from './http1-head.ts';

/** What a request is told, and what it can do. The bytes of onResponseData are good only during the call. */
export interface ResponseHandler {
  /** Nobody waits for the answer any more. */
  readonly isOver: boolean;
  onRequestStart(controller: ResponseController): void;
  onResponseStart(controller: ResponseController, status: number, headers: ResponseHead['headers']): void;
  onResponseData(controller: ResponseController, bytes: Uint8Array): void;
  onResponseEnd(controller: ResponseController): void;
  /** @param controller that of onRequestStart, if it came to that */
  onResponseError(controller: ResponseController | undefined, error: Error): void;
}
export interface ResponseController {
  /** Ends the request with this error; its connection is closed. */
  abort(reason: Error): void;
  pause(): void;
  resume(): void;
}

export interface Http1Timeouts {
  connectTimeoutMs: number;
  headersTimeoutMs: number;
  stallTimeoutMs: number;
}

export interface ConnectionOwner {
  /** The head of an answer has come, so long after its request. */
  onAnswer(afterMs: number): void;
  /** The connection has become idle, or is closed. */
  onFree(connection: Http1Connection): void;
}

/** Of one read; bodies of most objects come with their head in one. */
const READ_BYTES = 64 << 10;
const MAX_HEAD_BYTES = 16 << 10;
const MAX_INTERIM_RESPONSES = 16;
/** A connection that had no request for so long may be closing: what is sent on it could be lost. Less where the server says less. */
const MAX_IDLE_MS = 4000;
/** Before the end that a server names for an idle connection, to be on the safe side. */
const IDLE_MARGIN_MS = 1000;

type State = 'connecting' | 'idle' | 'head' | 'body' | 'closed';

export class Http1Connection {
  readonly #socket: Socket;
  readonly #timeouts: Http1Timeouts;
  readonly #owner: ConnectionOwner;
  #state: State = 'connecting';
  #sinceMs = monotonicMs();
  #idleLimitMs = MAX_IDLE_MS;
  #exchange: Exchange | undefined;
  #request = '';
  #head: ResponseHead | undefined;
  /** The start of a head that came in several reads. */
  #headStart = '';
  #interimResponses = 0;
  /** Of a body with a length, still to come. */
  #leftBytes = 0;
  #chunked: ChunkedDecoder | undefined;
  #isPaused = false;

  constructor(host: string, port: number, timeouts: Http1Timeouts, owner: ConnectionOwner) {
    this.#timeouts = timeouts;
    this.#owner = owner;
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    this.#socket = connect({
      host,
      port,
      noDelay: true,
      onread: { buffer, callback: (sizeBytes) => this.#onRead(buffer, sizeBytes) },
    });
    this.#socket.on('connect', () => this.#onConnect());
    this.#socket.on('end', () => this.#onEnd());
    this.#socket.on('error', (error) => this.close(error));
    this.#socket.on('close', () => this.close(new TransportError('HTTP_CLOSED')));
  }

  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  /** Whether it can take a request. */
  get isIdle(): boolean {
    return this.#state === 'idle';
  }

  /** Takes a request while idle, or the first one while connecting. @param request its text up to the empty line */
  send(request: string, handler: ResponseHandler): void {
    const exchange = new Exchange(this, handler);
    this.#exchange = exchange;
    this.#request = request;
    if (this.#state === 'idle') this.#start(exchange);
  }

  /** Ends what has taken too long. */
  checkTime(nowMs: number): void {
    const { connectTimeoutMs, headersTimeoutMs, stallTimeoutMs } = this.#timeouts;
    const passedMs = nowMs - this.#sinceMs;
    if (this.#state === 'connecting' && passedMs >= connectTimeoutMs)
      this.close(new TransportError('HTTP_CONNECT_TIMEOUT'));
    else if (this.#state === 'head' && passedMs >= headersTimeoutMs)
      this.close(new TransportError('HTTP_HEADERS_TIMEOUT'));
    else if (this.#state === 'body' && !this.#isPaused && passedMs >= stallTimeoutMs)
      this.close(new TransportError('HTTP_BODY_TIMEOUT'));
    else if (this.#state === 'idle' && passedMs >= this.#idleLimitMs) this.close(new TransportError('HTTP_CLOSED'));
  }

  /** With this error for the request that it has. */
  close(error: Error): void {
    if (this.#state === 'closed') return;
    const isStarted = this.#state !== 'connecting';
    this.#state = 'closed';
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#socket.destroy();
    exchange?.handler.onResponseError(isStarted ? exchange : undefined, error);
    this.#owner.onFree(this);
  }

  /** These three are for an Exchange. */
  abort(exchange: Exchange, reason: Error): void {
    if (exchange === this.#exchange) this.close(reason);
  }

  pause(exchange: Exchange): void {
    if (exchange !== this.#exchange || this.#isPaused) return;
    this.#isPaused = true;
    this.#socket.pause();
  }

  resume(exchange: Exchange): void {
    if (exchange === this.#exchange) this.#readOn();
  }

  #readOn(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#sinceMs = monotonicMs();
    this.#socket.resume();
  }

  #onConnect(): void {
    if (this.#state !== 'connecting') return;
    if (this.#exchange === undefined) this.#rest();
    else this.#start(this.#exchange);
  }

  #start(exchange: Exchange): void {
    this.#state = 'head';
    this.#interimResponses = 0;
    this.#sinceMs = monotonicMs();
    exchange.handler.onRequestStart(exchange);
    if (exchange === this.#exchange) this.#socket.write(this.#request, 'latin1');
  }

  #onRead(buffer: Buffer, sizeBytes: number): boolean {
    try {
      for (let at = 0; at < sizeBytes && !this.isClosed; ) {
        if (this.#state === 'head') at = this.#takeHead(buffer, at, sizeBytes);
        else if (this.#state === 'body') at = this.#takeBody(buffer, at, sizeBytes);
        // Whatever this is, it must not be taken for the answer to a later request.
        else this.close(new ProtocolError('it goes on after its end'));
      }
    } catch (error) {
      this.close(error as Error);
    }
    return !this.#isPaused;
  }

  /** @returns where the body starts, or the end */
  #takeHead(buffer: Buffer, at: number, end: number): number {
    const empty = this.#headStart === '' ? buffer.indexOf('\r\n\r\n', at, 'latin1') : -1;
    let text: string;
    let next: number;
    if (empty >= 0 && empty + 4 <= end) {
      text = buffer.toString('latin1', at, empty + 2);
      next = empty + 4;
    } else {
      const soFar = this.#headStart + buffer.toString('latin1', at, Math.min(end, at + MAX_HEAD_BYTES + 4));
      const stop = soFar.indexOf('\r\n\r\n');
      if (stop < 0) {
        if (soFar.length > MAX_HEAD_BYTES) throw new ProtocolError('its head is too long');
        if (!'HTTP/1.'.startsWith(soFar.slice(0, 7))) throw new ProtocolError('the status line is none');
        this.#headStart = soFar;
        return end;
      }
      text = soFar.slice(0, stop + 2);
      next = at + stop + 4 - this.#headStart.length;
      this.#headStart = '';
    }
    if (text.length > MAX_HEAD_BYTES) throw new ProtocolError('its head is too long');
    this.#onHead(parseResponseHead(text));
    return next;
  }

  #onHead(head: ResponseHead): void {
    const { status, body } = head;
    if (status === 101) throw new ProtocolError('it changes the protocol');
    if (status < 200) {
      if (++this.#interimResponses > MAX_INTERIM_RESPONSES) throw new ProtocolError('there are too many interim ones');
      return;
    }
    this.#head = head;
    this.#state = 'body';
    const nowMs = monotonicMs();
    this.#owner.onAnswer(nowMs - this.#sinceMs);
    this.#sinceMs = nowMs;
    if (body.form === 'length') this.#leftBytes = body.sizeBytes;
    this.#chunked = body.form === 'chunked' ? new ChunkedDecoder() : undefined;
    const exchange = this.#exchange as Exchange;
    exchange.handler.onResponseStart(exchange, status, head.headers);
    if (exchange === this.#exchange && body.form === 'length' && body.sizeBytes === 0) this.#complete(exchange);
  }

  /** @returns where it stopped */
  #takeBody(buffer: Buffer, at: number, end: number): number {
    this.#sinceMs = monotonicMs();
    const exchange = this.#exchange as Exchange;
    const give = (from: number, to: number): boolean => {
      exchange.handler.onResponseData(exchange, buffer.subarray(from, to));
      return exchange === this.#exchange;
    };
    if (this.#chunked !== undefined) {
      const next = this.#chunked.decode(buffer, at, end, give);
      if (this.#chunked.isDone && exchange === this.#exchange) this.#complete(exchange);
      return next;
    }
    if (this.#head?.body.form === 'until-close') {
      give(at, end);
      return end;
    }
    const stop = Math.min(end, at + this.#leftBytes);
    this.#leftBytes -= stop - at;
    if (give(at, stop) && this.#leftBytes === 0) this.#complete(exchange);
    return stop;
  }

  #onEnd(): void {
    const exchange = this.#exchange;
    if (exchange !== undefined && this.#state === 'body' && this.#head?.body.form === 'until-close')
      this.#complete(exchange);
    this.close(new TransportError('HTTP_CLOSED'));
  }

  #complete(exchange: Exchange): void {
    this.#exchange = undefined;
    const { isKeptAlive, idleSeconds } = this.#head as ResponseHead;
    this.#idleLimitMs =
      idleSeconds === undefined ? MAX_IDLE_MS : Math.min(MAX_IDLE_MS, idleSeconds * 1000 - IDLE_MARGIN_MS);
    this.#head = undefined;
    this.#state = 'idle';
    exchange.handler.onResponseEnd(exchange);
    if (isKeptAlive) this.#rest();
    else this.close(new TransportError('HTTP_CLOSED'));
  }

  #rest(): void {
    this.#state = 'idle';
    this.#sinceMs = monotonicMs();
    this.#readOn();
    this.#owner.onFree(this);
  }
}

/** One request on its connection: once it is over, its handler has no hold on the connection any more. */
class Exchange implements ResponseController {
  readonly handler: ResponseHandler;
  readonly #connection: Http1Connection;

  constructor(connection: Http1Connection, handler: ResponseHandler) {
    this.#connection = connection;
    this.handler = handler;
  }

  abort(reason: Error): void {
    this.#connection.abort(this, reason);
  }
  pause(): void {
    this.#connection.pause(this);
  }
  resume(): void {
    this.#connection.resume(this);
  }
}
