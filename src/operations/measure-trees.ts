/** `du`: how much trees say they hold, and how much the store keeps for them. */

import type { ByteString } from '../formats/byte-string.ts';
import type { ObjectId } from '../formats/ids.ts';
import type { Directory } from '../formats/tree.ts';
import { sizeOf } from './list-tree.ts';
import { walkTree } from './tree-path.ts';

export interface TreeUsage {
  path: string;
  entries: number;
  /** Sum of the sizes of all regular files, hard links counted at every path. */
  apparentBytes: number;
  /** Content in the store: each object and each inlined file once. */
  storedBytes: number;
}

export function measureUsage(path: string, root: Directory): TreeUsage {
  const objects = new Set<ObjectId>();
  const inline = new Set<Uint8Array>();
  const usage: TreeUsage = { path, entries: 0, apparentBytes: 0, storedBytes: 0 };
  for (const { inode } of walkTree({ path: '/' as ByteString, inode: root })) {
    usage.entries++;
    const size = sizeOf(inode) ?? 0;
    usage.apparentBytes += size;
    if (inode.kind === 'file' && !inline.has(inode.content)) {
      inline.add(inode.content);
      usage.storedBytes += size;
    } else if (inode.kind === 'external' && inode.digest !== undefined && !objects.has(inode.digest)) {
      objects.add(inode.digest);
      usage.storedBytes += size;
    }
  }
  return usage;
}
