/** The ostree repositories of test/vectors/repos, unpacked, and what they hold. */

import type { RepositoryMode } from '../../src/formats/file-body.ts';
import type { Checksum } from '../../src/formats/ids.ts';
import { runChecked } from './run-command.ts';
import { sharedFixture } from './run-directory.ts';
import { readVectorJson, vectorPath } from './vectors.ts';

export interface VectorCommit {
  checksum: Checksum;
  detached_metadata: unknown;
  /** Every object that the commit reaches, itself included. */
  objects: { type: 'commit' | 'dirtree' | 'dirmeta' | 'file'; checksum: Checksum }[];
}

export interface VectorFacts {
  repos: Record<RepositoryMode, { refs: Record<string, Checksum> }>;
  /** By their short names, `main-1` and so on. */
  commits: Record<string, VectorCommit>;
}

export const readVectorFacts = (): VectorFacts => readVectorJson<VectorFacts>('repos/expected.json');

/** Shared by all tests of a run: not to be changed. Owners and xattrs of bare modes are right only for root. */
export const vectorRepository = (mode: RepositoryMode): Promise<string> =>
  sharedFixture(`vector-repository-${mode}`, async (directory) => {
    await unpackVectorRepository(mode, directory);
    return directory;
  });

/** A copy of one's own. */
export async function unpackVectorRepository(mode: RepositoryMode, directory: string): Promise<void> {
  const flags = ['--xattrs', '--xattrs-include=*', '--numeric-owner', '-xpzf'];
  await runChecked('tar', [...flags, vectorPath(`repos/${mode}.tar.gz`), '-C', directory]);
}
