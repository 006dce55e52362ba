/**
 * The overlayfs xattrs of a composefs image: where a file's body is and which fs-verity digest it must have,
 * whiteouts, and how a user's own `trusted.overlay.*` names are kept apart from those.
 */

import type { ByteString } from '../byte-string.ts';
import { type Algorithm, digestBytes, FS_VERITY_ALGORITHM_NUMBER, isObjectId, type ObjectId } from '../ids.ts';

const bytes = (ascii: string): ByteString => ascii as ByteString;

export const OVERLAY_PREFIX = bytes('trusted.overlay.');
export const ESCAPED_PREFIX = bytes('trusted.overlay.overlay.');
export const METACOPY = bytes('trusted.overlay.metacopy');
export const REDIRECT = bytes('trusted.overlay.redirect');
/** On the root of version 0 and 1 images: hides the directories of the layer below. */
export const ROOT_OPAQUE = bytes('trusted.overlay.opaque');
export const ROOT_OPAQUE_VALUE = bytes('y');
/** On the regular file that stands for a whiteout; empty values. */
export const WHITEOUT_MARKS = [bytes('trusted.overlay.overlay.whiteout'), bytes('user.overlay.whiteout')] as const;
/** On the directory that contains one; empty values. */
export const WHITEOUTS_MARKS = [bytes('trusted.overlay.overlay.whiteouts'), bytes('user.overlay.whiteouts')] as const;
/** On the same directory in version 1. */
export const OPAQUE_MARKS = [bytes('trusted.overlay.overlay.opaque'), bytes('user.overlay.opaque')] as const;
export const OPAQUE_MARK_VALUE = bytes('x');
export const POSIX_ACL_NAMES: readonly ByteString[] = [
  bytes('system.posix_acl_access'),
  bytes('system.posix_acl_default'),
];
export const SELINUX = bytes('security.selinux');

/** The name under which an xattr that was given as `name` is stored. */
export const escapeXattrName = (name: ByteString): ByteString =>
  name.startsWith(OVERLAY_PREFIX) ? ((ESCAPED_PREFIX + name.slice(OVERLAY_PREFIX.length)) as ByteString) : name;

/** Mode of the character devices 0:0 that stand in the root of version 0 and 1 images, one for each `00` … `ff`. */
export const STUB_MODE = 0o020644;
export const STUB_NAMES: readonly ByteString[] = Array.from({ length: 256 }, (_, byte) =>
  bytes(byte.toString(16).padStart(2, '0')),
);

export const METACOPY_HEADER_BYTES = 4;

/** Bytes of the metacopy value for a digest in hex; empty without one. */
export const metacopyBytes = (digest: string): number =>
  digest === '' ? 0 : METACOPY_HEADER_BYTES + digest.length / 2;

/** Writes the metacopy value for a digest in lower-case hex. */
export function writeMetacopy(digest: string, out: Uint8Array, at: number): void {
  const algorithm: Algorithm = digest.length === 2 * digestBytes('sha256') ? 'sha256' : 'sha512';
  out[at + 1] = metacopyBytes(digest);
  out[at + 3] = FS_VERITY_ALGORITHM_NUMBER[algorithm]; // version and flags stay 0
  for (let i = 0; i < digest.length; i += 2)
    out[at + METACOPY_HEADER_BYTES + i / 2] = (nibble(digest.charCodeAt(i)) << 4) | nibble(digest.charCodeAt(i + 1));
}

const nibble = (code: number): number => (code < 0x3a ? code - 0x30 : code - 0x57);

/** The digest in a metacopy value that is not empty, a view of it, or what is wrong with it. */
export function parseMetacopy(value: Uint8Array): { digest: Uint8Array } | { problem: string } {
  if (value.length < METACOPY_HEADER_BYTES) return { problem: `of ${value.length} bytes is too short` };
  const [version, length, flags, algorithmId] = value;
  if (version !== 0 || flags !== 0) return { problem: `has version ${version} and flags ${flags}, expected 0` };
  const algorithm = ALGORITHM_OF_NUMBER.get(algorithmId);
  if (algorithm === undefined) return { problem: `has the unknown digest algorithm ${algorithmId}` };
  if (length !== value.length || length !== METACOPY_HEADER_BYTES + digestBytes(algorithm))
    return { problem: `of ${value.length} bytes says it has ${length}, for a ${algorithm} digest` };
  return { digest: value.subarray(METACOPY_HEADER_BYTES) };
}

const ALGORITHM_OF_NUMBER = new Map(
  (['sha256', 'sha512'] as const).map((algorithm) => [FS_VERITY_ALGORITHM_NUMBER[algorithm] as number, algorithm]),
);

/** Whether a path is `xx/yyyy…` for just this digest: that of nearly every file, and compared without a string. */
export function isPathOfDigest(path: Uint8Array, digest: Uint8Array): boolean {
  if (path.length !== 2 * digest.length + 1 || path[2] !== SLASH) return false;
  for (let i = 0; i < digest.length; i++) {
    const at = i === 0 ? 0 : 2 * i + 1;
    if (path[at] !== hexDigit(digest[i] >>> 4) || path[at + 1] !== hexDigit(digest[i] & 0xf)) return false;
  }
  return true;
}

const SLASH = 0x2f;
const hexDigit = (value: number): number => (value < 10 ? 0x30 : 0x57) + value;

/** The object that a path ending in `xx/yyyy…` names; libostree's `xx/yyyy….file` names none of ours. */
export function objectOfPath(path: ByteString, algorithm: Algorithm): ObjectId | undefined {
  const end = path.slice(-(2 * digestBytes(algorithm) + 1));
  const id = end.slice(0, 2) + end.slice(3);
  return end[2] === '/' && isObjectId(id, algorithm) ? id : undefined;
}
