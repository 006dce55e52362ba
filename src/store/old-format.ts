/** Repositories from before `meta.json` (composefs-rs below 0.7): what they are is told by their first object. */

import { closeSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Algorithm, ObjectId } from '../formats/ids.ts';
import { isObjectId } from '../formats/ids.ts';
import { isFanout } from './object-names.ts';
import { openRegularFileSync } from './regular-file.ts';
import { measureVerity } from './verity.ts';

/** EROFS version that such a repository gets when it is upgraded, as composefs-rs 0.9 does. */
export const OLD_FORMAT_EROFS_VERSION = 1;

export interface InferredSettings {
  algorithm: Algorithm;
  secure: boolean;
}

/** @returns undefined where there is no object to tell by */
export function inferSettings(repositoryPath: string): InferredSettings | undefined {
  const root = join(repositoryPath, 'objects');
  for (const fanout of readDirectories(root)) {
    for (const entry of readdirSync(join(root, fanout), { withFileTypes: true })) {
      const name = `${fanout}${entry.name}`;
      const algorithm = algorithmOf(name);
      if (!entry.isFile() || algorithm === undefined) continue;
      const path = join(root, fanout, entry.name);
      const opened = openRegularFileSync(path, { file: `objects/${fanout}/${entry.name}` });
      if (opened === undefined) continue;
      try {
        return { algorithm, secure: typeof measureVerity(opened.fd) !== 'string' };
      } finally {
        closeSync(opened.fd);
      }
    }
  }
  return undefined;
}

function algorithmOf(name: string): Algorithm | undefined {
  if (isObjectId(name, 'sha256')) return 'sha256';
  return isObjectId(name as ObjectId, 'sha512') ? 'sha512' : undefined;
}

function readDirectories(root: string): string[] {
  try {
    const entries = readdirSync(root, { withFileTypes: true });
    return entries.filter(isFanout).map((entry) => entry.name);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw error;
  }
}
