/** The files of an image whose bodies are outside of it, without a tree in memory. */

import type { Where } from '../../errors.ts';
import { type ByteString, byteStringToText } from '../byte-string.ts';
import { givenXattrs, isExternal, readStoredBody, type StoredBody, targetOf } from './body-reader.ts';
import { walkImage } from './image-walk.ts';
import type { ImageInode, InodeReader } from './inode-reader.ts';
import { SLOT_BYTES } from './layout.ts';
import { directoryMarks, hasWhiteoutMarks, isMarkedDirectory } from './whiteouts.ts';

export interface ImageFile {
  /** Path of its directory for display, empty for the root. */
  directory: string;
  name: ByteString;
  sizeBytes: number;
  body: StoredBody;
}

/**
 * Each of them once, by the first of its names. Everything is refused on the way that `readImageTree` refuses.
 * @throws FormatError or LimitError on the first thing that is wrong
 */
export function* walkFiles(reader: InodeReader, where: Where): Generator<ImageFile> {
  const { version } = reader.header;
  const marks = directoryMarks(version);
  /** By nid: stubs and whiteouts, which have one name. */
  const singles = new Map<number, 'stub' | 'whiteout'>();
  const path: Array<{ text: string; isMarked: boolean }> = [];
  for (const { name, depth, nid, inode, isStub } of walkImage(reader, where)) {
    if (inode === undefined) {
      const single = singles.get(nid);
      if (single !== undefined) reader.fail('dirent.nid', nid * SLOT_BYTES, `${single} ${nid} has a second name`);
      continue;
    }
    if (isStub) {
      singles.set(nid, 'stub');
      continue;
    }
    givenXattrs(reader, inode, depth === 0);
    path.length = depth;
    if (inode.kind === 'directory') {
      const text = depth === 0 ? '' : `${path[depth - 1].text}/${byteStringToText(name)}`;
      path.push({ text, isMarked: isMarkedDirectory(inode, marks) });
      continue;
    }
    const parent = path[depth - 1];
    if (isWhiteout(inode, parent.isMarked)) singles.set(nid, 'whiteout');
    if (inode.kind === 'symlink') targetOf(reader, inode);
    if (isExternal(inode))
      yield { directory: parent.text, name, sizeBytes: inode.sizeBytes, body: readStoredBody(reader, inode) };
  }
}

const isWhiteout = (inode: ImageInode, isInMarked: boolean): boolean =>
  (inode.kind === 'character' && inode.u === 0) || (isInMarked && hasWhiteoutMarks(inode));
