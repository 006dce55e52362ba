/** Real files of this machine for the demo: enough to be interesting, few enough to be quick. */

import { copyFile, lstat, mkdir, readdir, readlink, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Looked through in this order until the budget is used up; the last one is there wherever Node runs. */
const CANDIDATES = [
  '/usr/share/doc',
  '/usr/lib/python3',
  '/usr/share/zoneinfo',
  '/usr/share/perl',
  '/usr/include',
  '/usr/lib',
];
const MAX_FILES = 2500;
const MAX_BYTES = 64 << 20;
/** Larger files would eat the budget of many small ones. */
const MAX_FILE_BYTES = 4 << 20;
const MAX_FILES_EACH = 700;

export interface CopiedTree {
  files: number;
  bytes: number;
}

/** Copies files and symlinks, with their paths, below `target`. What cannot be read is left out. */
export async function copyMachineFiles(target: string): Promise<CopiedTree> {
  const total: CopiedTree = { files: 0, bytes: 0 };
  for (const candidate of [...CANDIDATES, dirname(dirname(process.execPath))]) {
    const limit = Math.min(MAX_FILES, total.files + MAX_FILES_EACH);
    await copySome(candidate, target, total, limit);
    if (total.files >= MAX_FILES || total.bytes >= MAX_BYTES) break;
  }
  return total;
}

async function copySome(root: string, target: string, total: CopiedTree, limit: number): Promise<void> {
  const pending = [root];
  for (let next = pending.shift(); next !== undefined; next = pending.shift()) {
    const entries = await readdir(next, { withFileTypes: true }).catch(() => []);
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of entries) {
      if (total.files >= limit || total.bytes >= MAX_BYTES) return;
      const path = join(next, entry.name);
      const copy = join(target, path);
      try {
        if (entry.isDirectory()) pending.push(path);
        else if (entry.isSymbolicLink()) {
          await mkdir(dirname(copy), { recursive: true });
          await symlink(await readlink(path), copy);
          total.files++;
        } else if (entry.isFile()) {
          const { size } = await lstat(path);
          if (size > MAX_FILE_BYTES) continue;
          await mkdir(dirname(copy), { recursive: true });
          await copyFile(path, copy);
          total.files++;
          total.bytes += size;
        }
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code;
        if (code !== 'EACCES' && code !== 'ENOENT' && code !== 'EEXIST' && code !== 'EPERM') throw error;
      }
    }
  }
}
