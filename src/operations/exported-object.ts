/** What a commit consists of, and what an ostree repository calls it. */

import type { Checksum } from '../formats/ids.ts';
import type { StoredCommit } from './commit-reader.ts';
import type { ExportMode } from './ostree-file-stager.ts';

export interface ExportedObject {
  type: 'file' | 'dirtree' | 'dirmeta' | 'commit';
  checksum: Checksum;
}

/** Numbers of the addon (native/index.d.ts, StagedNames). */
export const STAGED_KINDS = { file: 0, dirtree: 2, dirmeta: 3, commit: 4 } as const;

/** `<checksum>.<suffix>` */
export function stagedName({ type, checksum }: ExportedObject, mode: ExportMode): string {
  return `${checksum}.${type === 'file' && mode === 'archive' ? 'filez' : type}`;
}

/** Where it is staged: as below `objects`, so that whole directories can be published, except for commits, which come last. */
export function stagedPath(object: ExportedObject, mode: ExportMode): string {
  const name = stagedName(object, mode);
  return object.type === 'commit' ? name : `${name.slice(0, 2)}/${name.slice(2)}`;
}

/** Every object that the commit reaches, once; the commit itself last. */
export function collectObjects(stored: StoredCommit): ExportedObject[] {
  const { rootDirtree, rootDirmeta } = stored.commit();
  const seen = { file: new Set<Checksum>(), dirtree: new Set<Checksum>(), dirmeta: new Set<Checksum>() };
  const objects: ExportedObject[] = [];
  const want = (type: keyof typeof seen, checksum: Checksum): boolean => {
    if (seen[type].has(checksum)) return false;
    seen[type].add(checksum);
    objects.push({ type, checksum });
    return true;
  };
  want('dirmeta', rootDirmeta);
  const pending = want('dirtree', rootDirtree) ? [rootDirtree] : [];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { files, directories } = stored.dirtree(next);
    for (const { checksum } of files) want('file', checksum);
    for (const { dirtree, dirmeta } of directories) {
      want('dirmeta', dirmeta);
      if (want('dirtree', dirtree)) pending.push(dirtree);
    }
  }
  objects.push({ type: 'commit', checksum: stored.checksum });
  return objects;
}
