/** File objects as each ostree repository mode keeps them (ostree-objects facts of libostree 2026.4). */

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, chown, lchown, open, symlink, utimes } from 'node:fs/promises';
import { promisify } from 'node:util';
import { createDeflateRaw, deflateRaw } from 'node:zlib';
import {
  AddonNeededError,
  DigestMismatchError,
  FormatError,
  LimitError,
  MissingObjectError,
  RepositoryError,
  type Where,
} from '../errors.ts';
import { type ByteString, byteStringToBytes, byteStringToText } from '../formats/byte-string.ts';
import type { RepositoryMode } from '../formats/file-body.ts';
import type { Checksum, ObjectId } from '../formats/ids.ts';
import {
  type FileHeader,
  isSymlink,
  serializeArchiveHeader,
  serializeContentHeader,
  serializeOstreemeta,
} from '../formats/ostree/file-header.ts';
import type { NativeAddon } from '../native.ts';
import { explainReadError } from '../store/regular-file.ts';
import type { StoredFile } from './commit-reader.ts';

/** Modes that we write. */
export type ExportMode = Exclude<RepositoryMode, 'bare-split-xattrs'>;

export interface FileStager {
  /** Writes the object to a new path. @returns bytes written */
  stage(target: string, checksum: Checksum, file: StoredFile, objectPath: (id: ObjectId) => string): Promise<number>;
}

/** libostree's default, and zlib's. */
const ZLIB_LEVEL = 6;
/** Larger content is piped instead of held. */
const WHOLE_BYTES = 1 << 20;
const PERMISSIONS = 0o7777;
const deflateWhole = promisify(deflateRaw);

export function openFileStager(mode: ExportMode, addon: NativeAddon | undefined): FileStager {
  if (mode === 'archive') return archiveStager;
  if (addon === undefined)
    throw new AddonNeededError(
      `writing a ${mode} repository needs the native addon (doc/native.md); --mode archive does without`,
    );
  return { stage: bareStager(mode, addon) };
}

const archiveStager: FileStager = {
  async stage(target, checksum, { header, sizeBytes, inline, object }, objectPath) {
    await using out = await open(target, 'wx', 0o644);
    const head = serializeArchiveHeader(header, sizeBytes);
    let written = (await out.write(head)).bytesWritten;
    if (isSymlink(header)) return written;
    if (inline !== undefined)
      return written + (await out.write(await deflateWhole(inline, { level: ZLIB_LEVEL }))).bytesWritten;
    const content = checkedContent(objectPath(object as ObjectId), header, checksum);
    if (sizeBytes <= WHOLE_BYTES) {
      const chunks: Uint8Array[] = [];
      for await (const chunk of content) chunks.push(chunk);
      const compressed = await deflateWhole(Buffer.concat(chunks), { level: ZLIB_LEVEL });
      return written + (await out.write(compressed)).bytesWritten;
    }
    const deflate = createDeflateRaw({ level: ZLIB_LEVEL });
    const feeding = feed(content, deflate);
    feeding.catch(() => {}); // awaited below; the reader fails first
    for await (const chunk of deflate as AsyncIterable<Uint8Array>) {
      await out.writeFile(chunk);
      written += chunk.length;
    }
    await feeding;
    return written;
  },
};

async function feed(
  content: AsyncIterable<Uint8Array>,
  deflate: NodeJS.WritableStream & { destroy(error: Error): void },
) {
  try {
    for await (const chunk of content)
      if (!deflate.write(chunk)) await new Promise<void>((resolve) => deflate.once('drain', resolve));
    deflate.end();
  } catch (error) {
    deflate.destroy(error as Error);
    throw error;
  }
}

const bareStager =
  (mode: Exclude<ExportMode, 'archive'>, addon: NativeAddon): FileStager['stage'] =>
  async (target, checksum, { header, sizeBytes, inline, object }, objectPath) => {
    if (mode === 'bare-user-only') checkBareUserOnly(header, checksum);
    if (mode === 'bare') checkBare(header, checksum);
    const setAttributes = () => attachAttributes(addon, mode, target, header, checksum);
    if (isSymlink(header)) {
      const text = byteStringToBytes(header.target);
      if (mode === 'bare-user') {
        await using out = await open(target, 'wx', 0o644);
        await out.writeFile(Buffer.concat([text, new Uint8Array(1)]));
        setAttributes();
        await utimes(target, 0, 0);
      } else {
        await symlink(Buffer.from(text), target);
        if (mode === 'bare') {
          await lchown(target, header.uid, header.gid);
          setAttributes();
        }
      }
      return text.length;
    }
    {
      await using out = await open(target, 'wx', 0o600);
      if (inline !== undefined) await out.writeFile(inline);
      else
        for await (const chunk of checkedContent(objectPath(object as ObjectId), header, checksum))
          await out.writeFile(chunk);
    }
    if (mode === 'bare') {
      await chown(target, header.uid, header.gid);
      setAttributes();
      await chmod(target, header.mode & PERMISSIONS); // last: chown clears setuid, and mode 0 would refuse the attributes
    } else if (mode === 'bare-user') {
      setAttributes();
      await chmod(target, (header.mode & 0o775) | 0o400);
    } else await chmod(target, header.mode & 0o775);
    await utimes(target, 0, 0);
    return sizeBytes;
  };

/** Those of the file itself in bare, its whole header in bare-user. @throws LimitError, RepositoryError where the file system cannot */
function attachAttributes(
  addon: NativeAddon,
  mode: ExportMode,
  target: string,
  header: FileHeader,
  checksum: Checksum,
): void {
  const attributes =
    mode === 'bare' ? header.xattrs : [{ name: 'user.ostreemeta', value: serializeOstreemeta(header) }];
  for (const { name, value } of attributes) {
    try {
      addon.lsetxattr(target, name, value);
    } catch (error) {
      const where = { object: `${checksum}.file`, field: byteStringToText(name as ByteString) };
      switch ((error as NodeJS.ErrnoException).code) {
        case 'E2BIG':
        case 'ERANGE':
          throw new LimitError(`an attribute of ${value.length} bytes is more than a file can have`, where, {
            cause: error,
          });
        case 'ENOTSUP':
        case 'EOPNOTSUPP':
        case 'EINVAL':
          throw new RepositoryError('no such attribute is possible on this file system', where, { cause: error });
        default:
          throw error;
      }
    }
  }
}

/** The kernel takes this owner for "leave it as it is". */
const NO_OWNER = 0xffff_ffff;

function checkBare({ uid, gid }: FileHeader, checksum: Checksum): void {
  if (uid === NO_OWNER || gid === NO_OWNER)
    throw new FormatError(`bare cannot hold owner ${uid}:${gid}; use --mode bare-user`, { object: `${checksum}.file` });
}

function checkBareUserOnly(header: FileHeader, checksum: Checksum): void {
  const where = { object: `${checksum}.file` };
  const refuse = (what: string) => {
    throw new FormatError(
      `bare-user-only cannot hold ${what}; use --mode bare-user, or commit with --canonical-permissions`,
      where,
    );
  };
  if (header.uid !== 0 || header.gid !== 0) refuse(`owner ${header.uid}:${header.gid}`);
  if (header.xattrs.length > 0) refuse('extended attributes');
  if (!isSymlink(header) && (header.mode & PERMISSIONS & ~0o775) !== 0)
    refuse(`permissions ${(header.mode & PERMISSIONS).toString(8)}`);
}

/** The content of an object, hashed with its header while it passes; fails at its end when it is not what it should be. */
async function* checkedContent(path: string, header: FileHeader, checksum: Checksum): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256').update(serializeContentHeader(header));
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 18 }) as AsyncIterable<Uint8Array>) {
      hash.update(chunk);
      yield chunk;
    }
  } catch (error) {
    throw explainContentError(error, { file: path, object: `${checksum}.file` });
  }
  const actual = hash.digest('hex');
  if (actual !== checksum) throw new DigestMismatchError(checksum, actual, { object: `${checksum}.file` });
}

/** It is our own repository that cannot be read here, not the other one that cannot be written. */
function explainContentError(error: unknown, where: Where): unknown {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ENOENT':
      return new MissingObjectError('its content is missing', where, { cause: error });
    case 'EACCES':
      return new RepositoryError('its content cannot be read: permission denied', where, { cause: error });
    default:
      return explainReadError(error, where);
  }
}
