/**
 * What the native addon offers. System calls that Node lacks, and the ingest loop; no policy.
 *
 * Everything synchronous makes one or a few system calls and reads no file data. Failures of system calls are thrown as
 * NodeJS.ErrnoException with `code`, `errno` (negative, as Node has it) and `syscall`. Wrong arguments are TypeErrors.
 * Paths are strings (UTF-8) or raw bytes. Attribute names are byte strings: one character U+0000–U+00FF per byte.
 */

export type NativeAlgorithm = 'sha256' | 'sha512';
export type NativePath = string | Uint8Array;
/** An open descriptor, or a path whose last symlink is followed. */
export type FdOrPath = number | NativePath;
export type LockKind = 'sh' | 'ex' | 'un';

/** How a source repository keeps a loose file object (formats/file-body.ts, RepositoryMode). */
export type LocalMode = 'archive' | 'bare' | 'bare-user' | 'bare-user-only' | 'bare-split-xattrs';

/**
 * Whether the store may share data with a local source.
 * `none`: read and write. `reflink`: FICLONE, else as `none`. `hard`: FICLONE, else a hard link, else as `none`.
 * A hard link is made only into an insecure repository, of a file in a `bare` source that belongs to this process's user,
 * that nobody else may write and that is not set-id. `hard-sealed`: as `hard`, and into a secure repository too, where
 * fs-verity is enabled on the source file itself. Every byte is hashed first in all cases.
 */
export type LinkMode = 'none' | 'reflink' | 'hard' | 'hard-sealed';

export interface IngestOptions {
  /** The repository's `objects` directory; opened once. */
  objectsPath: NativePath;
  algorithm: NativeAlgorithm;
  /** fs-verity is enabled on every new object and demanded of every existing one. */
  secure: boolean;
  /** Threads that hash and write; default: the number of usable CPUs. They run at lower priority (nice +5). */
  threads?: number;
  /** Also computes the sha256 fs-verity digest of every regular file (`sha256Ids`). */
  alsoSha256?: boolean;
  /** Named temporaries (`.tmp-object-…`) from the start; without it only where the file system has no O_TMPFILE. */
  namedTemporaries?: boolean;
}

export interface LocalOptions {
  mode: LocalMode;
  /** Default `none`. */
  link?: LinkMode;
  /** `bare-split-xattrs`: the `.file-xattrs-link` of each object, as many as paths. */
  xattrsPaths?: NativePath[];
  /** `core.disable-xattrs` of a bare source: attributes are not read. */
  ignoreXattrs?: boolean;
}

/**
 * What became of n objects, column by column, in the order they were handed in. H is 32 or 64.
 * All columns are views of one ArrayBuffer.
 */
export interface IngestBatch {
  /** `IngestStatus` of src/native.ts: 0 inline, 1 external and new, 2 external and already there, from 16 on refused. */
  status: Uint8Array;
  /** For `systemCall`: the (positive) error number; else 0. */
  errno: Int32Array;
  /** For `systemCall`: index into `ingestSteps`; else 0. */
  steps: Uint8Array;
  /** How the content of a new object came to be: `IngestHow` of src/native.ts. */
  how: Uint8Array;
  /** n·H: object ids; zero where inline or refused. */
  ids: Uint8Array;
  /** Content sizes in bytes; 0 for symlinks. For refused ones what was announced, as far as it was read. */
  sizes: Float64Array;
  /** n·32, with `alsoSha256`: sha256 fs-verity digests of the content; zero for symlinks and refused ones. */
  sha256Ids?: Uint8Array;
  /** n·32: the ostree checksums that were found, also the wrong ones; zero where it did not come to that. */
  checksums: Uint8Array;
  /** n+1 positions in `data`. */
  dataOffsets: Uint32Array;
  /** What a commit stream keeps per object: 8-byte prefix, archive header, and the content of inline ones. */
  data: Uint8Array;
}

export interface LocalBatch extends IngestBatch {
  /** What the files that could be opened have in all, as they are kept: compressed in an archive. */
  sourceBytes: number;
}

/** One large `.filez` that arrives in pieces. Memory is bounded whatever its size. */
export interface IngestStream {
  /**
   * Takes the next piece; it must not be changed until the promise is settled. Await it before sending more.
   * @returns false as soon as the object is refused: nothing more needs to be sent, `end()` says why
   */
  write(chunk: Uint8Array): Promise<boolean>;
  /** All pieces were given. A batch of one. */
  end(): Promise<IngestBatch>;
  /** Gives up; nothing is stored. Harmless after `end()`. */
  abort(): void;
}

/**
 * Stores file objects: checks the header strictly, inflates, compares the ostree checksum, computes the fs-verity digest,
 * writes a temporary file, enables fs-verity (secure), links it to its name. Nothing gets a name before its ostree checksum
 * matched. Nothing is synced: the caller's barrier (`syncfs`) comes before it publishes what refers to the objects.
 */
export class Ingest {
  /** @throws errno errors of opening `objectsPath` */
  constructor(options: IngestOptions);
  /**
   * Whole `.filez` bodies, read in place: neither array nor bodies may be changed until the promise is settled.
   * @param checksums n·32 bytes, copied
   */
  archive(bodies: Uint8Array[], checksums: Uint8Array): Promise<IngestBatch>;
  /** Loose objects of a local repository; opened and read by the threads. */
  local(paths: NativePath[], checksums: Uint8Array, options: LocalOptions): Promise<LocalBatch>;
  /** The same, found by their checksums in the `objects` directory of that repository. `xattrsPaths` is not used. */
  loose(objectsPath: NativePath, checksums: Uint8Array, options: LocalOptions): Promise<LocalBatch>;
  /**
   * Regular files that have no checksum yet (commit): `headers` are their content headers (8-byte prefix included, as
   * serializeContentHeader makes them). What they are called is in `checksums`.
   */
  adopt(paths: NativePath[], headers: Uint8Array[], options?: { link?: 'none' | 'reflink' }): Promise<IngestBatch>;
  stream(checksum: Uint8Array): IngestStream;
  /** No new work; what has not begun ends as `closed`. Resolves when the threads are gone. */
  close(): Promise<void>;
}

/** Open directories, and how the ostree repository keeps files. */
export interface StagingPlace {
  /** `objects` of our repository. */
  objectsFd: number;
  /** Laid out like `objects`, but commits lie in it themselves. */
  stagingFd: number;
  /** `objects` of the ostree repository. */
  targetFd: number;
  mode: Exclude<LocalMode, 'bare-split-xattrs'>;
  algorithm: NativeAlgorithm;
}

/** n objects, column by column; not to be changed until the promise is settled. */
export interface StagedNames {
  /** 0 file with its content inline, 1 with an external object, 2 dirtree, 3 dirmeta, 4 commit. */
  kinds: Uint8Array;
  /** n·32 */
  checksums: Uint8Array;
}
export interface StagedContents extends StagedNames {
  /** n·H: of external objects. */
  ids: Uint8Array;
  /** What a commit stream keeps of each object, one after the other. */
  data: Uint8Array;
  /** Where each one ends in `data`: n little-endian numbers of four bytes. */
  dataEnds: Uint8Array;
}
export interface StagedResults {
  /** 0 not done, and nothing left behind; 1 written; 2 the ostree repository has it. */
  results: Uint8Array;
  /** Bytes of content, compressed in an archive. */
  bytes: Float64Array;
}

export interface HashFilesOptions {
  algorithm: NativeAlgorithm;
  /** Per path the content headers (8-byte prefix included) under which the content is known; undefined or empty: none. */
  contentHeaders?: (Uint8Array[] | undefined)[];
  /** Larger files are not read: EFBIG. Default: no limit. */
  maxBytes?: number;
}

/** Columns for n files. All views of one ArrayBuffer. */
export interface HashedFiles {
  /** 0: read completely; else the error number of opening or reading (ELOOP, EISDIR: not a regular file; EFBIG: above `maxBytes`). */
  errno: Int32Array;
  /** Sizes as read. */
  sizes: Float64Array;
  /** n·H: fs-verity digests computed from the bytes. */
  digests: Uint8Array;
  /** What the kernel measured: 0 no fs-verity, 1 the digest in `digests`, 2 another digest or another algorithm. */
  measured: Uint8Array;
  /** m·32: SHA-256 of header + content, for all content headers in order of path, then of header. */
  checksums: Uint8Array;
}

/** What one sweep did. */
export interface SweptObjects {
  /** Entries whose names are ids that stay. */
  kept: number;
  removed: number;
  removedBytes: number;
  /** What is no object, or no regular file: paths relative to the directory of objects. It stays. */
  others: string[];
  /** The first failure, and where; whatever else the counts say has been done. */
  error?: NodeJS.ErrnoException;
  errorAt?: string;
}

/** Which objects stay, and the removal of all others. Flat memory: 33 bytes for each id, in a table at most three quarters full. */
export class ObjectSweep {
  constructor(objectsPath: NativePath, algorithm: NativeAlgorithm);
  /** @param ids raw digests, concatenated */
  keep(ids: Uint8Array): void;
  /**
   * Reads the directories on the pool while the caller finds out what stays, up to 32 MiB of names. What cannot be read is left to `sweep`,
   * which must not be called before this has resolved.
   */
  readAhead(): Promise<void>;
  /**
   * Goes through `count` of the directories `00` … `ff` on the pool. Everything that is a regular file, has the name of an object, and was
   * not kept, is counted as removed; with `remove` it is. Directories that are missing, or no directories, are passed over.
   */
  sweep(first: number, count: number, options: { remove: boolean }): Promise<SweptObjects>;
}

/** What ostree says about n objects. */
export interface ObjectProofs {
  /** Content headers (8-byte prefix included), concatenated. */
  headers: Uint8Array;
  /** Where each header ends. */
  headerEnds: Uint32Array;
  /** n·32 bytes. */
  checksums: Uint8Array;
  /** Bytes of content. */
  sizes: Float64Array;
}

/** Columns for n objects. */
export interface CheckedObjects {
  /** 0: anything is wrong, or could not be told; 1: all is right, and the file has no fs-verity; 2: the kernel agrees. */
  states: Uint8Array;
  /** Bytes of content, where the state is not 0. */
  sizes: Float64Array;
}

export interface ObjectNamesFound {
  /** Raw digests, concatenated: names that make an id, of regular files. */
  ids: Uint8Array;
  /** Paths of everything else, relative to `objects/`. */
  others: string[];
}

export interface FileSystemFacts {
  /** `f_type`, e.g. 0xef53 for ext4, 0x01021994 for tmpfs. */
  magic: number;
  /** Bytes that this process may still write. */
  freeBytes: number;
  readOnly: boolean;
}

export interface MountAttributes {
  set?: number;
  clear?: number;
  /** For MOUNT_ATTR_IDMAP. */
  userNamespaceFd?: number;
}

export interface BaseWalkResult {
  /** Of what was taken: metadata, files; bytes of their data, and with padding. */
  sums: Float64Array;
  /** For each dirtree that was looked into: its number (0xffffffff: the given bytes, always the first), files, known subdirectories; then the numbers of these. */
  directories: Uint32Array;
  /** Number and depth of each dirmeta that was met first, not looked into. */
  dirmetas: Uint32Array;
  /** Number and depth of each dirtree that was met and not looked into, or not to its end. */
  left: Uint32Array;
  /** Where in the given bytes the checksums are of entries that are not in the map, wholly or in part. */
  unknownFiles: Uint32Array;
  unknownDirectories: Uint32Array;
}

export interface NativeAddon {
  /** Names by number, for `IngestBatch.status`; src/native.ts has the same table. */
  readonly ingestStatus: Readonly<Record<string, number>>;
  /** Names of the steps that a `systemCall` status names. */
  readonly ingestSteps: readonly string[];
  /** What this build and machine use: SHA-512 and SHA-256 of many blocks at once, inflate, and deflate of whole contents. */
  readonly engines: Readonly<{
    sha512: 'avx512' | 'evp';
    sha256: 'avx512' | 'evp';
    inflate: 'libdeflate' | 'zlib';
    deflate: 'libdeflate' | 'zlib';
  }>;

  /**
   * Threads of everything but `Ingest`, which has its own; default: one for each CPU that this process may use.
   * @param count 1 to 1024
   * @throws ERR_CFS_NATIVE once they are at work
   */
  useThreads(count: number): void;

  readonly Ingest: typeof Ingest;
  readonly ObjectSweep: typeof ObjectSweep;

  /**
   * Reads objects and compares their fs-verity digests with their ids, on all cores; with `proofs` also their sizes, and the SHA-256 of
   * header and content with the checksum of the ostree file that each is. Arrays are not to be changed until the promise is settled.
   * @param ids raw digests, concatenated
   */
  checkObjects(
    objectsPath: NativePath,
    algorithm: NativeAlgorithm,
    ids: Uint8Array,
    proofs?: ObjectProofs,
  ): Promise<CheckedObjects>;

  /** SHA-256 over size (a little-endian double), checksum, id and header of each: 32 bytes each, at once. */
  proofKeys(algorithm: NativeAlgorithm, ids: Uint8Array, proofs: ObjectProofs): Uint8Array;

  /**
   * Sizes of objects in bytes, on all cores; -1: missing, or no regular file.
   * @param ids raw digests, concatenated; not to be changed until the promise is settled
   */
  objectSizes(objectsPath: NativePath, algorithm: NativeAlgorithm, ids: Uint8Array): Promise<Float64Array>;

  /**
   * What lies in some of the directories `00` … `ff`, in their order, on all cores. Those that are missing, or something else, are passed over.
   * @param firstBytes a byte for each directory
   */
  objectNames(objectsPath: NativePath, algorithm: NativeAlgorithm, firstBytes: Uint8Array): Promise<ObjectNamesFound>;

  /**
   * fs-verity digest and ostree checksums of whole files, read once, on all cores, with bounded memory. Paths must be regular
   * files; a final symlink is not followed. One file's failure does not disturb the others.
   */
  hashFiles(paths: NativePath[], options: HashFilesOptions): Promise<HashedFiles>;
  /**
   * Writes objects into the staging directory, as the mode keeps them: a commit as `<checksum>.commit`, others as `xx/yyyy….<type>`.
   * Every byte is hashed first, or, of large content, before the object counts as written. What cannot be done is left to the caller,
   * who finds out why.
   */
  stageObjects(place: StagingPlace, objects: StagedContents): Promise<StagedResults>;
  /**
   * Moves whole subdirectories of the staging directory, with all that lies in them, where the ostree repository has none of that name
   * and new directories of both would belong to the same group. `moved`: 0 or 1 for each; what did not move, for
   * whatever reason, is left to publishObjects().
   * @param firstBytes a byte for each directory
   */
  publishSubdirectories(place: StagingPlace, firstBytes: Uint8Array): Promise<{ moved: Uint8Array }>;
  /** Moves staged objects to their places, in no order. An object that is there is left alone. `errno`: 0 or why not, for each. */
  publishObjects(place: StagingPlace, objects: StagedNames): Promise<{ errno: Int32Array }>;
  /** fs-verity digest of one open or named file, computed here (not asked of the kernel), from its first byte to its end. */
  fsVerityFile(file: FdOrPath, algorithm: NativeAlgorithm): Promise<Uint8Array>;
  /**
   * Walks through what a commit map has of a tree, from entry `dirtree`, or from the bytes of a dirtree that it need not have. Synchronous.
   * Marks are in the caller's memory, one byte for each entry of the map, but one bit in `proved`: hashed and found right.
   * What is not exactly as it should be stays as it is, and in `left`.
   */
  walkBase(
    map: Uint8Array,
    kinds: Uint8Array,
    taken: Uint8Array,
    proved: Uint8Array,
    dirtree: number | Uint8Array,
    depth: number,
  ): BaseWalkResult;
  /**
   * Writes checksums, data refs and data of a commit map; buckets and commit index are left as they are. Synchronous.
   * @param content zeros, of the map's size
   * @param objectRefs with room for all objects
   * @param added `refs`: for each checksum three u32, as in a data ref, but of `data` and `objects`
   * @returns number of objects in `objectRefs`
   */
  writeCommitMap(
    content: Uint8Array,
    objectRefs: Uint8Array,
    algorithm: NativeAlgorithm,
    added: { checksums: Uint8Array; refs: Uint8Array; data: Uint8Array; objects: Uint8Array },
    base: { content: Uint8Array; objectRefs: Uint8Array; taken: Uint8Array } | undefined,
  ): number;
  /** SHA-256 of bytes in memory, of `head` and `tail` as one. Synchronous. */
  sha256(head: Uint8Array, tail?: Uint8Array): Uint8Array;
  /** fs-verity digest of bytes in memory. Synchronous. */
  fsVerity(algorithm: NativeAlgorithm, bytes: Uint8Array): Uint8Array;
  /** For tests: the same with a chosen engine. @throws Error when this machine does not have it */
  fsVerityWith(engine: 'avx512' | 'evp', algorithm: NativeAlgorithm, bytes: Uint8Array): Uint8Array;
  /**
   * For tests: inflates raw deflate of known size with a chosen engine.
   * @param out one byte longer than the content; filled only when the result is `exact`
   * @throws Error when this build does not have the engine
   */
  inflateWith(
    engine: 'libdeflate' | 'zlib',
    body: Uint8Array,
    out: Uint8Array,
  ): 'exact' | 'damaged' | 'truncated' | 'sizeDiffers' | 'trailingBytes';

  /** FS_IOC_ENABLE_VERITY, 4096-byte blocks, no salt; `fd` read-only, nobody may have the file open for writing.
   *  @throws EEXIST already on; ETXTBSY a writer; ENOTTY, EOPNOTSUPP no fs-verity here */
  enableVerity(fd: number, algorithm: NativeAlgorithm): void;
  /** FS_IOC_MEASURE_VERITY. null: the file has none (ENODATA). @throws ENOTTY, EOPNOTSUPP: no fs-verity on this file system or kernel */
  measureVerity(fd: number): { algorithm: NativeAlgorithm; digest: Uint8Array } | null;

  /** syncfs on the pool. */
  syncfs(fd: number): Promise<void>;
  /** BSD lock, never waits. false: somebody else has it (a lock held before may be lost: conversion is not atomic). */
  flock(fd: number, kind: LockKind): boolean;
  /** Open-file-description lock on the whole file (F_OFD_SETLK), never waits. false: somebody else has it. */
  ofdLock(fd: number, kind: LockKind): boolean;

  /** Unnamed read-write file in `directory` (O_TMPFILE, O_CLOEXEC). The caller closes it. @throws EOPNOTSUPP, EISDIR: not here */
  openTmpfile(directory: NativePath, mode: number): number;
  /** Gives the open file a name, through /proc/self/fd. @throws EEXIST */
  linkFd(fd: number, path: NativePath): void;
  /** renameat2(RENAME_NOREPLACE). @throws EEXIST; EINVAL: not on this file system */
  renameNoReplace(from: NativePath, to: NativePath): void;
  /** FICLONE of the whole file. false: not possible between these two (EOPNOTSUPP, EXDEV, EINVAL, ENOTTY). */
  reflink(fromFd: number, toFd: number): boolean;

  /** null: no such attribute. */
  getxattr(file: FdOrPath, name: string): Uint8Array | null;
  /** Of a symlink itself. */
  lgetxattr(path: NativePath, name: string): Uint8Array | null;
  setxattr(file: FdOrPath, name: string, value: Uint8Array): void;
  lsetxattr(path: NativePath, name: string, value: Uint8Array): void;
  /** Byte strings, in the order of the file system. */
  listxattr(file: FdOrPath): string[];
  llistxattr(path: NativePath): string[];

  /** Type, free space and read-only flag (statfs). */
  fileSystem(file: FdOrPath): FileSystemFacts;

  /** All descriptors are close-on-exec; the caller closes them. */
  fsopen(type: string): number;
  fsconfigFlag(fd: number, key: string): void;
  /** The kernel takes at most 255 bytes. */
  fsconfigString(fd: number, key: string, value: NativePath): void;
  fsconfigFd(fd: number, key: string, value: number): void;
  fsconfigCreate(fd: number): void;
  /** What the kernel said about this context since last asked, e.g. `e overlay: …`. */
  fsMessages(fd: number): string[];
  /** @param attributes MOUNT_ATTR_* */
  fsmount(fd: number, attributes: number): number;
  /** Attaches a detached mount. @param path absolute, or relative to the current directory */
  moveMount(fd: number, path: NativePath): void;
  mountSetattr(fd: number, attributes: MountAttributes): void;
  /** @param flags MNT_FORCE 1, MNT_DETACH 2, UMOUNT_NOFOLLOW 8 */
  umount(path: NativePath, flags: number): void;
  /** A read-only, self-clearing loop device over the open file. It lives as long as `fd` or a mount of it. */
  attachLoopDevice(fd: number): { path: string; fd: number };

  /**
   * Tells the C library's allocator to give freed memory back early, at a little cost: fewer arenas, large blocks mapped on their own.
   * For programs that own their process. false: not this C library, or it would not.
   */
  keepMemorySmall(): boolean;
}
