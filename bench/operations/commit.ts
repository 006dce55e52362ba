import { type Operation, wallRatio } from '../operation.ts';
import { cfsOstree, inChroot, ostree } from '../programs.ts';

export const commit: Operation = {
  title: 'commit of a directory into an empty store',
  contestants: [
    {
      label: 'cfs-ostree',
      prepare: async ({ stores }) => [
        cfsOstree(
          await stores.empty('cfs-ostree'),
          ...['commit', await stores.treeSource(), '--branch', 'bench/new', '--timestamp', '0'],
        ),
      ],
    },
    {
      label: 'ostree',
      needs: ['ostree'],
      prepare: async ({ stores }) => [
        ostree(
          await stores.empty('ostree'),
          ...['commit', `--tree=dir=${inChroot(await stores.treeSource())}`, '--branch=bench/new', '--timestamp=@0'],
        ),
      ],
    },
  ],
  targets: [wallRatio('ostree', 0.5)],
};
