import { type Operation, wallRatio } from '../operation.ts';
import { cfsctl, cfsOstree, ostree } from '../programs.ts';

export const gc: Operation = {
  title: 'garbage collection, one commit of two dropped',
  contestants: [
    {
      label: 'cfs-ostree',
      prepare: async ({ stores }) => [cfsOstree(await stores.copyWithDroppedBase('cfs-ostree'), 'gc')],
    },
    {
      label: 'cfsctl',
      needs: ['cfsctl'],
      prepare: async ({ stores }) => [cfsctl(await stores.copyWithDroppedBase('cfsctl'), 'gc')],
    },
    {
      label: 'ostree prune',
      needs: ['ostree'],
      prepare: async ({ stores }) => [
        ostree(await stores.copyWithDroppedBase('ostree'), 'prune', '--refs-only', '--depth=0'),
      ],
    },
  ],
  targets: [wallRatio('cfsctl', 1), wallRatio('ostree prune', 0.3)],
};
