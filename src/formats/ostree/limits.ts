/** What we accept of ostree data: each limit with its unit and reason. Beyond it a LimitError. */

/** Bytes of one commit, dirtree, dirmeta or detached metadata: libostree's OSTREE_MAX_METADATA_SIZE since 2023.4. */
export const MAX_METADATA_BYTES = 128 * 1024 * 1024;
/** Bytes of one name in a directory: NAME_MAX of Linux; no checkout could hold more. */
export const MAX_NAME_BYTES = 255;
/** Bytes of a symlink target: PATH_MAX of Linux without its NUL. */
export const MAX_TARGET_BYTES = 4095;
/** Bytes of an xattr name without NUL: XATTR_NAME_MAX of Linux. */
export const MAX_XATTR_NAME_BYTES = 255;
/** Bytes of an xattr value: what the 16-bit size field of EROFS can say; XATTR_SIZE_MAX of Linux is one more. */
export const MAX_XATTR_VALUE_BYTES = 65_535;
/**
 * Bytes of a file header variant, a dirmeta, `user.ostreemeta` or `.file-xattrs`: room for a target and for more xattrs than a Linux
 * file system keeps on an inode.
 */
export const MAX_HEADER_BYTES = 1024 * 1024;
/** Bytes of one file: the largest integer that a JavaScript number holds exactly. */
export const MAX_FILE_BYTES = Number.MAX_SAFE_INTEGER;
/** Directories inside each other: a path of PATH_MAX with two bytes a level would be 2048, and real trees stay below 100. */
export const MAX_TREE_DEPTH = 1024;
/** Files, and also subdirectories, of one directory: 170 MB of entries in memory, and ten times what file systems are happy with. */
export const MAX_DIRECTORY_ENTRIES = 1_000_000;
/** Paths of one tree, shared subtrees counted at every use: 100 times a large operating system. Ends trees that multiply. */
export const MAX_TREE_PATHS = 10_000_000;
/** Bytes of a ref file: a checksum, and room for white space. */
export const MAX_REF_FILE_BYTES = 256;
/** Bytes of a ref name: a path below `refs/heads`, so PATH_MAX of Linux. */
export const MAX_REF_NAME_BYTES = 4095;
/** Bytes of a repository configuration; thousands of remotes fit. */
export const MAX_CONFIG_BYTES = 1024 * 1024;
