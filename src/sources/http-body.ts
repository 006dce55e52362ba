/** The two ways to take a body: whole and bounded, or as a file object, in pieces when it is large. */

import { LimitError, MissingObjectError, SourceError } from '../errors.ts';
import type { FileBody } from '../formats/file-body.ts';
import { type OwnedBytes, release } from '../formats/owned-bytes.ts';
import { PIECE_BYTES, takePiece } from '../formats/pieces.ts';
import { BodyCollector } from './body-collector.ts';
import { ChunkQueue } from './chunk-queue.ts';
import { HttpRequest, type RequestClient } from './http-request.ts';
import { LARGE_BODY_BYTES } from './large-body-gate.ts';

type Settle<T> = { resolve(value: T): void; reject(error: unknown): void };

export interface WholeBodyOptions {
  maxBytes: number;
  signal?: AbortSignal;
  /** `<checksum>.<type>`: when it is missing, the request fails. Without, it resolves to undefined. */
  object?: string;
  /** A refusal (403) counts as missing. */
  isOptional?: boolean;
}

abstract class CollectingRequest extends HttpRequest {
  protected collector: BodyCollector | undefined;
  /** As announced. */
  protected sizeBytes: number | undefined;

  protected onAttempt(): void {
    this.collector = undefined;
  }

  /** HTTP/1.1 is checked by undici; an HTTP/2 stream can end early all the same. */
  protected isShort(receivedBytes: number): boolean {
    if (this.sizeBytes === undefined || receivedBytes === this.sizeBytes) return false;
    this.retry(new SourceError(`the body has ${receivedBytes} bytes, ${this.sizeBytes} were announced`, this.where));
    return true;
  }

  protected missingObject(object: string): MissingObjectError {
    return new MissingObjectError('missing at the source', { file: this.client.url, object });
  }
}

export class WholeBodyRequest extends CollectingRequest {
  readonly #options: WholeBodyOptions;
  readonly #promise: Settle<Uint8Array | undefined>;

  constructor(client: RequestClient, path: string, options: WholeBodyOptions, promise: Settle<Uint8Array | undefined>) {
    super(client, path, options.signal);
    this.#options = options;
    this.#promise = promise;
  }

  protected override onAttempt(): void {
    super.onAttempt();
    this.client.gate.leave(this);
  }

  protected onBody(sizeBytes: number | undefined): void {
    this.sizeBytes = sizeBytes;
    if (sizeBytes !== undefined && sizeBytes > this.#options.maxBytes) this.#tooLarge();
    else this.collector = new BodyCollector(sizeBytes);
  }

  protected onChunk(chunk: Uint8Array): void {
    const { collector } = this;
    if (collector === undefined) return;
    if (collector.sizeBytes + chunk.length > this.#options.maxBytes) {
      this.#tooLarge();
      return;
    }
    collector.add(chunk);
    if (collector.sizeBytes <= LARGE_BODY_BYTES) return;
    // Later: whoever makes way does so from inside the HTTP parser, which cannot be entered twice.
    const wake = (): void => queueMicrotask(() => this.resume());
    if (!this.client.gate.enter(this, wake)) this.pause();
  }

  protected onComplete(): void {
    const { collector } = this;
    if (collector === undefined || this.isShort(collector.sizeBytes) || !this.finish()) return;
    this.client.gate.leave(this);
    this.#promise.resolve(collector.take());
  }

  protected onMissing(isRefused: boolean): void {
    const { object, isOptional } = this.#options;
    if (isRefused && !isOptional) this.fail(new SourceError('HTTP status 403', this.where));
    else if (object !== undefined) this.fail(this.missingObject(object));
    else if (this.finish()) this.#promise.resolve(undefined);
  }

  protected onFailure(error: unknown): void {
    this.client.gate.leave(this);
    this.#promise.reject(error);
  }

  #tooLarge(): void {
    const { maxBytes, object } = this.#options;
    this.fail(new LimitError(`larger than ${maxBytes} bytes`, { ...this.where, object }));
  }
}

/**
 * A `.filez`. Small ones are collected; large ones are handed over as soon as that is known. When the connection breaks after
 * that, the next attempt skips what was read already: objects do not change under their name.
 */
export class FileRequest extends CollectingRequest {
  readonly #object: string;
  readonly #promise: Settle<FileBody>;
  #queue: ChunkQueue | undefined;
  /** What of the body is not to be fetched again: in the queue, read, or in the piece. */
  #queuedBytes = 0;
  #skipBytes = 0;
  /** The next one for the queue, not full yet. */
  #piece: OwnedBytes | undefined;
  #pieceBytes = 0;

  constructor(
    client: RequestClient,
    path: string,
    object: string,
    signal: AbortSignal | undefined,
    promise: Settle<FileBody>,
  ) {
    super(client, path, signal);
    this.#object = object;
    this.#promise = promise;
  }

  protected override onAttempt(): void {
    super.onAttempt();
    this.#skipBytes = this.#queuedBytes;
  }

  protected onBody(sizeBytes: number | undefined): void {
    if (this.#queue !== undefined) {
      if (sizeBytes !== this.sizeBytes)
        this.fail(
          new SourceError('changed its size while it was being fetched', { ...this.where, object: this.#object }),
        );
      return;
    }
    this.sizeBytes = sizeBytes;
    if (sizeBytes !== undefined && sizeBytes > LARGE_BODY_BYTES) this.#handOver();
    else this.collector = new BodyCollector(sizeBytes);
  }

  protected onChunk(chunk: Uint8Array): void {
    const { collector } = this;
    if (collector === undefined) {
      this.#enqueue(chunk);
      return;
    }
    collector.add(chunk);
    if (collector.sizeBytes <= LARGE_BODY_BYTES) return;
    this.collector = undefined;
    this.#handOver();
    const soFar = collector.take();
    this.#enqueue(soFar);
    release(soFar);
  }

  protected onComplete(): void {
    if (this.#queue !== undefined) {
      if (this.isShort(this.#queuedBytes) || !this.finish()) return;
      if (this.#skipBytes > 0)
        this.#queue.fail(new SourceError('became shorter while it was being fetched', this.where));
      else {
        this.#pushPiece();
        this.#queue.end();
      }
      return;
    }
    const { collector } = this;
    if (collector === undefined || this.isShort(collector.sizeBytes) || !this.finish()) return;
    this.#promise.resolve({ form: 'archive', bytes: collector.take() });
  }

  protected onMissing(isRefused: boolean): void {
    this.fail(isRefused ? new SourceError('HTTP status 403', this.where) : this.missingObject(this.#object));
  }

  protected onFailure(error: unknown): void {
    if (this.#queue === undefined) this.#promise.reject(error);
    else this.#queue.fail(error);
  }

  #handOver(): void {
    const queue = new ChunkQueue(
      () => this.resume(),
      () => this.fail(new SourceError('the reader wants no more', this.where)),
    );
    this.#queue = queue;
    this.#promise.resolve({ form: 'archive-chunks', chunks: queue, sizeHintBytes: this.sizeBytes });
  }

  /** Copies: the bytes are only lent, and what waits to be read should be few large pieces rather than many small ones. */
  #enqueue(bytes: Uint8Array): void {
    const skipped = Math.min(this.#skipBytes, bytes.length);
    this.#skipBytes -= skipped;
    this.#queuedBytes += bytes.length - skipped;
    for (let at = skipped; at < bytes.length; ) {
      this.#piece ??= takePiece();
      const taken = Math.min(PIECE_BYTES - this.#pieceBytes, bytes.length - at);
      this.#piece.set(bytes.subarray(at, at + taken), this.#pieceBytes);
      this.#pieceBytes += taken;
      at += taken;
      if (this.#pieceBytes === PIECE_BYTES) this.#pushPiece();
    }
  }

  #pushPiece(): void {
    if (this.#piece === undefined) return;
    const piece = this.#piece.subarray(0, this.#pieceBytes);
    this.#piece = undefined;
    this.#pieceBytes = 0;
    if (this.#queue?.push(piece) === false) this.pause();
  }
}
