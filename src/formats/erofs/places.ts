/** Where each inode of an image goes, and how much of it: columns by the number of the inode. */

export class Places {
  /** Bytes of the xattr area. */
  readonly xattrBytes: Uint32Array;
  /** 1: a header of 32 bytes, else of 64. */
  readonly isCompact: Uint8Array;
  /** Of the header, in the image. */
  readonly offset: Uint32Array;
  /** Bytes behind the xattrs. */
  readonly tailBytes: Uint32Array;
  /** Blocks with what is not behind the xattrs. */
  readonly blockCount: Uint32Array;
  readonly firstBlock: Uint32Array;

  constructor(count: number) {
    this.xattrBytes = new Uint32Array(count);
    this.isCompact = new Uint8Array(count);
    this.offset = new Uint32Array(count);
    this.tailBytes = new Uint32Array(count);
    this.blockCount = new Uint32Array(count);
    this.firstBlock = new Uint32Array(count);
  }
}
