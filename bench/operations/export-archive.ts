import { type Operation, wallRatio } from '../operation.ts';
import { cfsOstree, inChroot, ostree, run } from '../programs.ts';

const PULL_LOCAL = 'ostree pull-local';

export const exportArchive: Operation = {
  title: 'export to a new archive repository',
  contestants: [
    {
      label: 'cfs-ostree',
      prepare: async ({ fixture: { base }, stores }) => [
        cfsOstree(await stores.withBase('cfs-ostree'), 'export', base.ref, stores.path(), '--mode', 'archive'),
      ],
    },
    {
      label: PULL_LOCAL,
      needs: ['ostree'],
      prepare: async ({ fixture: { base }, stores }) => {
        const source = await stores.withBase('ostree');
        const target = stores.path();
        await run(ostree(target, 'init', '--mode=archive'));
        return [ostree(target, 'pull-local', inChroot(source), base.commit)];
      },
    },
  ],
  targets: [wallRatio(PULL_LOCAL, 0.5)],
};
