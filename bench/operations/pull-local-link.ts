import { type Operation, wallRatio } from '../operation.ts';
import { cfsctl, cfsOstree, inChroot, ostree } from '../programs.ts';

/** ostree makes hard links too; cfsctl copies. */
export const pullLocalLink: Operation = {
  title: 'pull from a local bare repository, sharing its files',
  contestants: [
    {
      label: 'cfs-ostree --link',
      prepare: async ({ fixture, stores }) => [
        cfsOstree(await stores.empty('cfs-ostree'), 'pull', '--link', await stores.bareSource(), fixture.base.ref),
      ],
    },
    {
      label: 'cfsctl',
      needs: ['cfsctl'],
      prepare: async ({ fixture, stores }) => [
        cfsctl(await stores.empty('cfsctl'), 'ostree', 'pull-local', await stores.bareSource(), fixture.base.ref),
      ],
    },
    {
      label: 'ostree',
      needs: ['ostree'],
      prepare: async ({ fixture, stores }) => [
        ostree(await stores.empty('ostree'), 'pull-local', inChroot(await stores.bareSource()), fixture.base.ref),
      ],
    },
  ],
  targets: [wallRatio('cfsctl', 0.35), wallRatio('ostree', 0.9)],
};
