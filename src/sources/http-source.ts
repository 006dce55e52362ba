/** An archive repository on a web server: plain GETs of static files (ostree-pull layout of libostree 2026.4). */

import { NotFoundError, RepositoryError } from '../errors.ts';
import type { FileBody } from '../formats/file-body.ts';
import type { Checksum } from '../formats/ids.ts';
import { MAX_CONFIG_BYTES, MAX_METADATA_BYTES, MAX_REF_FILE_BYTES } from '../formats/ostree/limits.ts';
import { parseRefFile, validateRefName } from '../formats/ostree/refs.ts';
import { parseRepoConfig } from '../formats/ostree/repo-config.ts';
import { HttpClient } from './http-client.ts';
import { MAX_SUMMARY_BYTES } from './limits.ts';
import type { HttpLocation } from './location.ts';
import type { MetadataType, Source, SourceOptions } from './source.ts';
import { parseSummaryRefs } from './summary.ts';

/** @throws RepositoryError, FormatError, SourceError: see openSource */
export async function openHttpSource(location: HttpLocation, options: SourceOptions): Promise<Source> {
  const client = new HttpClient(location, options);
  const { likelyRef, signal } = options;
  try {
    const config = client.get('/config', { maxBytes: MAX_CONFIG_BYTES, signal });
    const likely = likelyRef === undefined ? undefined : new LikelyRef(client, likelyRef, signal);
    const bytes = await config;
    if (bytes === undefined)
      throw new RepositoryError('no ostree repository here: there is no config', { file: client.url });
    const { mode, collectionId } = parseRepoConfig(bytes, { file: `${client.url}/config` });
    if (mode !== 'archive')
      throw new RepositoryError(`a repository of mode ${mode} cannot be read over HTTP, only archive`, {
        file: client.url,
      });
    await likely?.answered; // so that what comes later is what a pull transfers, whichever of the two was first
    return new HttpSource(client, collectionId, likely);
  } catch (error) {
    await client.close();
    throw error;
  }
}

/** The file of a ref that was asked for before anybody wanted it. */
class LikelyRef {
  readonly #name: string;
  readonly #signal: AbortSignal | undefined;
  #file: Promise<Uint8Array | undefined> | undefined;
  /** Resolves in any case: what went wrong is told to whoever takes it. */
  readonly answered: Promise<unknown>;

  constructor(client: HttpClient, name: string, signal: AbortSignal | undefined) {
    this.#name = name;
    this.#signal = signal;
    this.#file = fetchRefFile(client, name, signal);
    this.answered = this.#file.catch(() => {});
  }

  /** Once: whoever asks again wants to know what the ref is by then. */
  take(name: string, signal: AbortSignal | undefined): Promise<Uint8Array | undefined> | undefined {
    if (name !== this.#name || signal !== this.#signal) return undefined;
    const file = this.#file;
    this.#file = undefined;
    return file;
  }
}

class HttpSource implements Source {
  readonly mode = 'archive';
  readonly collectionId: string | undefined;
  readonly #client: HttpClient;
  readonly #likely: LikelyRef | undefined;
  #summary: Map<string, Checksum> | undefined;

  constructor(client: HttpClient, collectionId: string | undefined, likely: LikelyRef | undefined) {
    this.#client = client;
    this.collectionId = collectionId;
    this.#likely = likely;
  }

  get url(): string {
    return this.#client.url;
  }

  get maxConcurrency(): number {
    return this.#client.maxConcurrency;
  }

  get bytesTransferred(): number {
    return this.#client.bytesReceived;
  }

  async resolveRef(ref: string, signal?: AbortSignal): Promise<Checksum> {
    const bytes = await (this.#likely?.take(ref, signal) ?? fetchRefFile(this.#client, ref, signal));
    if (bytes !== undefined) return parseRefFile(bytes, { file: this.url + refPath(ref) });
    // Some publish nothing but the summary.
    const checksum = (await this.#summaryRefs(signal))?.get(ref);
    if (checksum === undefined) throw new NotFoundError(`there is no ref ${JSON.stringify(ref)}`, { file: this.url });
    return checksum;
  }

  async listRefs(signal?: AbortSignal): Promise<Map<string, Checksum>> {
    const refs = await this.#summaryRefs(signal);
    if (refs === undefined)
      throw new NotFoundError('there is no summary, so the refs cannot be listed', { file: this.url });
    return new Map(refs);
  }

  fetchMetadata(checksum: Checksum, type: MetadataType, signal?: AbortSignal): Promise<Uint8Array> {
    return this.#client.get(objectPath(checksum, type), {
      maxBytes: MAX_METADATA_BYTES,
      signal,
      object: `${checksum}.${type}`,
    });
  }

  fetchDetachedMetadata(commit: Checksum, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    return this.#client.get(objectPath(commit, 'commitmeta'), {
      maxBytes: MAX_METADATA_BYTES,
      signal,
      isOptional: true,
    });
  }

  openFile(checksum: Checksum, signal?: AbortSignal): Promise<FileBody> {
    return this.#client.getFile(objectPath(checksum, 'filez'), `${checksum}.filez`, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.close();
  }

  async #summaryRefs(signal?: AbortSignal): Promise<Map<string, Checksum> | undefined> {
    signal?.throwIfAborted();
    if (this.#summary !== undefined) return this.#summary;
    const bytes = await this.#client.get('/summary', { maxBytes: MAX_SUMMARY_BYTES, signal, isOptional: true });
    if (bytes !== undefined) this.#summary = parseSummaryRefs(bytes, { file: `${this.url}/summary` });
    return this.#summary;
  }
}

/**
 * A directory, which part of a ref's name is, is refused by most servers: that counts as missing, too.
 * @throws FormatError or LimitError unless `ref` is a ref name
 */
const fetchRefFile = async (client: HttpClient, ref: string, signal?: AbortSignal): Promise<Uint8Array | undefined> => {
  validateRefName(ref, { file: client.url });
  return client.get(refPath(ref), { maxBytes: MAX_REF_FILE_BYTES, signal, isOptional: true });
};

const refPath = (ref: string): string => `/refs/heads/${ref.split('/').map(encodeURIComponent).join('/')}`;

const objectPath = (checksum: Checksum, suffix: string): string =>
  `/objects/${checksum.slice(0, 2)}/${checksum.slice(2)}.${suffix}`;
