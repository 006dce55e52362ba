import { type Operation, wallRatio } from '../operation.ts';
import { cfsctl, cfsOstree, ostree } from '../programs.ts';
import { REMOTE } from '../stores.ts';

export const nothingToDo: Operation = {
  title: 'HTTP pull of a ref that has not changed',
  contestants: [
    {
      label: 'cfs-ostree',
      prepare: async ({ fixture: { base }, stores, servers }) => [
        cfsOstree(await stores.withBase('cfs-ostree'), 'pull', (await servers.near()).url, base.ref),
      ],
    },
    {
      label: 'cfsctl',
      needs: ['cfsctl'],
      prepare: async ({ fixture: { base }, stores, servers }) => [
        cfsctl(await stores.withBase('cfsctl'), 'ostree', 'pull', '--no-delta', (await servers.near()).url, base.ref),
      ],
    },
    {
      label: 'ostree',
      needs: ['ostree'],
      prepare: async ({ fixture: { base }, stores }) => [
        ostree(await stores.withBase('ostree'), 'pull', REMOTE, base.ref),
      ],
    },
  ],
  targets: [wallRatio('ostree', 2.5)],
  minRounds: 15,
};
