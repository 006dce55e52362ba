import { HISTORY_COMMITS } from '../fixture.ts';
import { type Operation, wallRatio } from '../operation.ts';
import { cfsOstree } from '../programs.ts';

const ONE_STORED = 'cfs-ostree, 1 commit stored';

export const pullUpdateHistory: Operation = {
  title: 'the same update beside many stored commits',
  contestants: [
    {
      label: `cfs-ostree, ${HISTORY_COMMITS + 1} commits stored`,
      prepare: async ({ fixture: { update }, stores, servers }) => [
        cfsOstree(await stores.copyWithHistory(), 'pull', (await servers.near()).url, update.ref),
      ],
    },
    {
      label: ONE_STORED,
      prepare: async ({ fixture: { update }, stores, servers }) => [
        cfsOstree(await stores.copyWithBase('cfs-ostree'), 'pull', (await servers.near()).url, update.ref),
      ],
    },
  ],
  targets: [wallRatio(ONE_STORED, 1.3)],
};
