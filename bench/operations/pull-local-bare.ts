import { type Operation, wallRatio } from '../operation.ts';
import { cfsctl, cfsOstree } from '../programs.ts';

export const pullLocalBare: Operation = {
  title: 'pull from a local bare repository, copying',
  contestants: [
    {
      label: 'cfs-ostree',
      prepare: async ({ fixture, stores }) => [
        cfsOstree(await stores.empty('cfs-ostree'), 'pull', await stores.bareSource(), fixture.base.ref),
      ],
    },
    {
      label: 'cfsctl',
      needs: ['cfsctl'],
      prepare: async ({ fixture, stores }) => [
        cfsctl(await stores.empty('cfsctl'), 'ostree', 'pull-local', await stores.bareSource(), fixture.base.ref),
      ],
    },
  ],
  targets: [wallRatio('cfsctl', 0.55)],
};
