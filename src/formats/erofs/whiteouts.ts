/** Regular files that stand for whiteouts in version 0 and 1 images, and the marks of the directories that hold them. */

import { type ByteString, byteStringFromBytes } from '../byte-string.ts';
import type { Xattr } from '../tree.ts';
import type { ImageInode } from './inode-reader.ts';
import { Layout } from './layout.ts';
import type { ErofsVersion } from './options.ts';
import { OPAQUE_MARK_VALUE, OPAQUE_MARKS, WHITEOUT_MARKS, WHITEOUTS_MARKS } from './overlay.ts';

const NO_VALUE = '' as ByteString;
const WHITEOUT_VALUES = new Map(WHITEOUT_MARKS.map((name) => [name as ByteString, NO_VALUE]));

/** The marks that a writer gives to the directory of a whiteout; none in version 2, where whiteouts are what they are. */
export const directoryMarks = (version: ErofsVersion): ReadonlyMap<ByteString, ByteString> =>
  new Map([
    ...(version === 2 ? [] : WHITEOUTS_MARKS.map((name) => [name, NO_VALUE] as const)),
    ...(version === 1 ? OPAQUE_MARKS.map((name) => [name, OPAQUE_MARK_VALUE] as const) : []),
  ]);

export const isMarkedDirectory = ({ xattrs }: ImageInode, marks: ReadonlyMap<ByteString, ByteString>): boolean =>
  marks.size > 0 && hasAll(xattrs, marks);

/** Whether a file stands for a whiteout, if its directory is marked too; otherwise somebody gave it these xattrs. */
export const hasWhiteoutMarks = ({ kind, layout, sizeBytes, xattrs }: ImageInode): boolean =>
  kind === 'file' && layout === Layout.plain && sizeBytes === 0 && hasAll(xattrs, WHITEOUT_VALUES);

function hasAll(xattrs: Xattr[], wanted: ReadonlyMap<ByteString, ByteString>): boolean {
  let found = 0;
  for (const { name, value } of xattrs) {
    const expected = wanted.get(name);
    if (expected !== undefined && value.length === expected.length && byteStringFromBytes(value) === expected) found++;
  }
  return found === wanted.size;
}
