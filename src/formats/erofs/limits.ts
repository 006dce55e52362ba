/** What images and dumpfiles may hold. Kernel limits where there is one, else what keeps time and memory bounded. */

/** Bytes of one image, read or written: enough for ten million entries, and offsets stay within 32 bits. */
export const MAX_IMAGE_BYTES = 2 ** 32 - 4096;
/** Directories inside one another, the root not counted. Far above what any tree has; bounds paths and stacks. */
export const MAX_TREE_DEPTH = 1024;
/** Bytes of a file name (the kernel's NAME_MAX). */
export const MAX_NAME_BYTES = 255;
/** Bytes of a symlink target (the kernel's PATH_MAX without the NUL). */
export const MAX_TARGET_BYTES = 4095;
/** The same in version 2 images: what composefs-rs reads. */
export const MAX_TARGET_BYTES_V2 = 1024;
/** Bytes of the path under which a body is found (PATH_MAX without the NUL). */
export const MAX_PAYLOAD_BYTES = 4095;
/** Bytes of a file kept in the image: the limit of libcomposefs. */
export const MAX_INLINE_BYTES = 5000;
/** The same in version 2 images: what composefs-rs reads. */
export const MAX_INLINE_BYTES_V2 = 512;
/** Bytes of an external file: 1024 chunks of 2^43 bytes. One above the largest safe integer, and exact as a double. */
export const MAX_EXTERNAL_BYTES = 2 ** 53;
/** Bytes of a full xattr name (the kernel's XATTR_NAME_MAX). */
export const MAX_XATTR_NAME_BYTES = 255;
/** Bytes of an xattr value: the field has 16 bits. */
export const MAX_XATTR_VALUE_BYTES = 65535;
/**
 * 12 + Σ (7 + name + value) of the xattrs given for one inode of a dumpfile or a version 0/1 image: as libcomposefs.
 */
export const MAX_XATTRS_BYTES = 32767;
/** 4-byte units of an inode's xattr area as stored (16-bit field). */
export const MAX_XATTR_ICOUNT = 65535;
/** References to shared xattrs of one version 0/1 inode; further ones are stored with the inode. */
export const MAX_SHARED_REFERENCES_V1 = 128;
/** References of one version 2 inode: an 8-bit field. */
export const MAX_SHARED_REFERENCES_V2 = 255;
/** uid, gid, link count and device number have 32 bits. */
export const MAX_U32 = 2 ** 32 - 1;
/**
 * Bytes of xattr names and values that one image may stand for in total, shared ones counted at every inode that has
 * them: they are decoded once, but whoever prints the tree writes them out every time.
 */
export const MAX_EXPANDED_XATTR_BYTES = 2 ** 32;
