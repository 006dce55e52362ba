/** A composefs EROFS image, checked in full as it is read; made by any writer, or by somebody hostile. */

import type { Where } from '../../errors.ts';
import { type ByteString, byteStringFromBytes } from '../byte-string.ts';
import { type Algorithm, digestBytes, type ObjectId, objectIdFromBytes } from '../ids.ts';
import type { Directory } from '../tree.ts';
import { otherObject } from './body-reader.ts';
import { contentInMemory, type ImageContent } from './image-content.ts';
import { type ImageFile, walkFiles } from './image-files.ts';
import { type WalkedEntry, walkImage } from './image-walk.ts';
import { InodeReader } from './inode-reader.ts';
import type { ErofsVersion } from './options.ts';
import { hasImageMagic, type ImageHeader, parseImageHeader } from './superblock-reader.ts';
import { readImageTree } from './tree-reader.ts';

export type { ImageFile } from './image-files.ts';

/** Whether bytes claim to be an image, as against a dumpfile. */
export const isErofsImage = (bytes: Uint8Array): boolean => hasImageMagic(bytes);

export class ErofsImage {
  readonly header: ImageHeader;
  readonly #content: ImageContent;
  readonly #where: Where;

  private constructor(content: ImageContent, where: Where) {
    this.#content = content;
    this.#where = { ...where, format: 'EROFS' };
    this.header = parseImageHeader(content, this.#where);
  }

  /**
   * Checks the headers; inodes are checked by the methods that read them.
   * @param image all of it, or how to get at it; kept, and what the methods return may be views of it
   * @throws FormatError or LimitError
   */
  static open(image: Uint8Array | ImageContent, where: Where = {}): ErofsImage {
    return new ErofsImage(image instanceof Uint8Array ? contentInMemory(image) : image, where);
  }

  get version(): ErofsVersion {
    return this.header.version;
  }

  /** Entries as they are stored, see `walkImage`. */
  walk(): Generator<WalkedEntry> {
    return walkImage(this.#reader(), this.#where);
  }

  /**
   * The tree that the image was made of. Names of one inode are one leaf; stubs, marks and escapes are undone, so that
   * writing it with the same version gives the same image.
   * @throws FormatError or LimitError, naming field and offset
   */
  readTree(): Directory {
    return readImageTree(this.#reader(), this.#where);
  }

  /**
   * The files whose bodies are outside of the image, each once, by the first of its names.
   * @throws as readTree, and for the same reasons
   */
  files(): Generator<ImageFile> {
    return walkFiles(this.#reader(), this.#where);
  }

  /** Paths of all bodies, unique and in byte order; what `composefs-info objects` prints. */
  payloads(): ByteString[] {
    const paths = new Set<ByteString>();
    for (const { body } of this.files()) if (body.payload !== undefined) paths.add(byteStringFromBytes(body.payload));
    return [...paths].sort();
  }

  /**
   * Objects that the image needs, unique and sorted: the digest of every body, and what a path of the form `xx/yyyy…`
   * names. libostree's `xx/yyyy….file` names no object of ours.
   * @param algorithm of the repository; ids of another one are left out
   */
  objects(algorithm: Algorithm): ObjectId[] {
    return [...new Set(Array.from(this.eachObject(algorithm), objectIdFromBytes))].sort();
  }

  /**
   * The same as they are met, some of them more than once: for whoever need not hold a million ids.
   * @returns raw digests, views of the image
   */
  *eachObject(algorithm: Algorithm): Generator<Uint8Array> {
    for (const { body } of this.files()) {
      if (body.digest?.length === digestBytes(algorithm)) yield body.digest;
      const other = otherObject(body, algorithm);
      if (other !== undefined) yield other;
    }
  }

  /** One for each walk: it counts what it has read. */
  #reader(): InodeReader {
    return new InodeReader(this.#content, this.header, this.#where);
  }
}
