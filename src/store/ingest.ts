/**
 * Getting file objects into the store: each body is inflated, hashed as ostree and as fs-verity, and gets its name only when the
 * ostree checksum is right. One interface, two engines: the native one works in batches on its own threads, the portable one
 * (ingest-portable.ts) does the same in JavaScript for insecure repositories.
 */

import type { FileBody, LooseObjects, RepositoryMode } from '../formats/file-body.ts';
import type { Checksum } from '../formats/ids.ts';
import type { FileHeader } from '../formats/ostree/file-header.ts';
import type { LinkMode } from '../native.ts';

export interface IngestedFile {
  /** Archive header with its 8-byte prefix; for an inlined file the content follows. */
  data: Uint8Array;
  /** Raw fs-verity digest that names the object; none: inlined, empty or a symlink. */
  object?: Uint8Array;
  sizeBytes: number;
  /** Whether this call created the object. */
  isNew: boolean;
  /** fs-verity sha256 digest of the content, where it was asked for and the content is not empty. */
  sha256Digest?: Uint8Array;
}

export interface FileToAdopt {
  path: string;
  header: FileHeader;
}

export interface AdoptedFile extends IngestedFile {
  checksum: Checksum;
}

export type { LinkMode };

export interface IngestOptions {
  /** How local files may be shared with their source instead of copied. */
  link?: LinkMode;
  /** Also compute the sha256 fs-verity digest of each body (for `ostree.composefs.digest.v0` in sha512 repositories). */
  alsoSha256?: boolean;
  /** Worker threads; default: one for each core, eight at most. */
  threads?: number;
  /** Where the bodies come from: errors name it, and not every engine reads every mode. */
  source?: { readonly url: string; readonly mode: RepositoryMode };
}

export interface FileIngest extends AsyncDisposable {
  /**
   * Takes the body over, whatever happens. Callers bound how many are under way.
   * @throws FormatError, LimitError, DigestMismatchError naming the object; NoSpaceError, RepositoryError for our disk;
   * SourceError when a local source cannot be read
   */
  add(checksum: Checksum, body: FileBody): Promise<IngestedFile>;
  /**
   * Takes many loose objects at once, with little work for each; not every engine can.
   * @param checksums 32 bytes each
   * @returns undefined for an object that was refused or not found: `add` tells why
   */
  addLoose?(objects: LooseObjects, checksums: Uint8Array): Promise<Array<IngestedFile | undefined>>;
  /**
   * Takes regular files on disk that have no checksum yet, each as content under its header. Some of them may be stored when it fails.
   * @throws FormatError for one that is no regular file; SourceError for one that cannot be read
   */
  adopt(files: readonly FileToAdopt[]): Promise<AdoptedFile[]>;
  /** Bytes of content written to the store so far. */
  readonly bytesWritten: number;
  /** How many objects are worked on at the same time. */
  readonly threads: number;
}
