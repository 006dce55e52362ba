/** How a source hands out one file object, so that ingest can read it without it passing through JavaScript. */

import type { OwnedBytes } from './owned-bytes.ts';

export type RepositoryMode = 'archive' | 'bare' | 'bare-user' | 'bare-user-only' | 'bare-split-xattrs';

export type FileBody =
  /** A whole `.filez`: 8-byte prefix, header variant, raw deflate. Whoever takes the body owns the buffer, and releases it. */
  | { form: 'archive'; bytes: OwnedBytes }
  /** The same in pieces, for large ones; they are the reader's. Whoever takes the body must read it to its end or call `return()`. */
  | { form: 'archive-chunks'; chunks: AsyncIterable<OwnedBytes>; sizeHintBytes?: number }
  /**
   * A loose object on this machine, in the form that the repository mode keeps it. `xattrsPath`: bare-split-xattrs only.
   * `ignoreXattrs`: what the file has was put there by somebody else (`core.disable-xattrs`).
   */
  | { form: 'local'; path: string; mode: RepositoryMode; xattrsPath?: string; ignoreXattrs?: boolean };

/** Where a repository on this machine keeps its loose file objects: many can be read from there without a call for each. */
export interface LooseObjects {
  readonly objectsPath: string;
  readonly mode: RepositoryMode;
  readonly ignoreXattrs: boolean;
  /** Whoever reads objects tells how many bytes their files have, as they are kept. */
  onRead(bytes: number): void;
}
