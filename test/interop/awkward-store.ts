/** The awkward tree's commits, pulled from ostree's own archive repository over HTTP: what most tests here start from. */

import { startNginx } from '../support/nginx.ts';
import { AWKWARD_REF, CANONICAL_REF, OS_TREE_PEERS, osTree } from '../support/os-tree.ts';
import type { PeerName } from '../support/peers.ts';
import { sharedFixture } from '../support/run-directory.ts';
import { type PullResult, Store } from './store.ts';

/** What `describeWithPeers` needs for it. */
export const AWKWARD_STORE_PEERS = [...OS_TREE_PEERS, 'nginx'] as const satisfies PeerName[];

export interface AwkwardStore {
  /** sha256, EROFS version 1; only to be read. */
  path: string;
  first: PullResult;
  /** Pulled after its parent; with its image. */
  awkward: PullResult;
  /** Pulled when `awkward` was there: most contents are the same, all headers differ. */
  canonical: PullResult;
}

export const awkwardStore = (): Promise<AwkwardStore> =>
  sharedFixture('interop-awkward-store', async (directory) => {
    const { repositories, first } = await osTree();
    const path = `${directory}/store`;
    const store = await Store.init(path);
    await using nginx = await startNginx({ root: repositories.archive });
    return {
      path,
      first: await store.pull(nginx.url, first),
      awkward: await store.pull(nginx.url, AWKWARD_REF, '--create-image'),
      canonical: await store.pull(nginx.url, CANONICAL_REF, '--create-image'),
    };
  });
