import { archiveOf } from '../fixture.ts';
import { LIMIT_PROGRAM } from '../limit.ts';
import { type Operation, wallRatio } from '../operation.ts';
import { cfsctl, cfsOstree, inChroot, ostree } from '../programs.ts';

export const pullLocalArchive: Operation = {
  title: 'pull from a local archive repository',
  contestants: [
    {
      label: 'cfs-ostree',
      prepare: async ({ fixture, stores }) => [
        cfsOstree(await stores.empty('cfs-ostree'), 'pull', archiveOf(fixture), fixture.base.ref),
      ],
    },
    {
      label: 'cfsctl',
      needs: ['cfsctl'],
      prepare: async ({ fixture, stores }) => [
        cfsctl(await stores.empty('cfsctl'), 'ostree', 'pull-local', archiveOf(fixture), fixture.base.ref),
      ],
    },
    {
      label: 'ostree',
      needs: ['ostree'],
      prepare: async ({ fixture, stores }) => [
        ostree(await stores.empty('ostree'), 'pull-local', inChroot(archiveOf(fixture)), fixture.base.ref),
      ],
    },
    LIMIT_PROGRAM,
  ],
  targets: [wallRatio('cfsctl', 0.45), wallRatio('ostree', 0.6), wallRatio(LIMIT_PROGRAM.label, 1.2)],
};
