import { type Operation, wallRatio } from '../operation.ts';
import { cfsctl, cfsOstree, ostree } from '../programs.ts';

export const fsck: Operation = {
  title: 'check of everything, all content read',
  contestants: [
    { label: 'cfs-ostree', prepare: async ({ stores }) => [cfsOstree(await stores.withBase('cfs-ostree'), 'fsck')] },
    {
      label: 'cfsctl',
      needs: ['cfsctl'],
      prepare: async ({ stores }) => [cfsctl(await stores.withBase('cfsctl'), 'fsck')],
    },
    {
      label: 'ostree',
      needs: ['ostree'],
      prepare: async ({ stores }) => [ostree(await stores.withBase('ostree'), 'fsck')],
    },
  ],
  targets: [wallRatio('cfsctl', 0.8), wallRatio('ostree', 0.3)],
};
