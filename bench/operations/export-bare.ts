import { type Operation, wallRatio } from '../operation.ts';
import { cfsctl, cfsOstree, ostree, run } from '../programs.ts';

export const exportBare: Operation = {
  title: 'export to a new bare repository',
  contestants: [
    {
      label: 'cfs-ostree',
      prepare: async ({ fixture: { base }, stores }) => [
        cfsOstree(await stores.withBase('cfs-ostree'), 'export', base.ref, stores.path(), '--mode', 'bare'),
      ],
    },
    {
      label: 'cfsctl',
      needs: ['cfsctl', 'ostree'],
      prepare: async ({ fixture: { base }, stores }) => {
        const target = stores.path();
        await run(ostree(target, 'init', '--mode=bare'));
        return [cfsctl(await stores.withBase('cfsctl'), 'ostree', 'export', base.ref, target)];
      },
    },
  ],
  targets: [wallRatio('cfsctl', 0.6)],
};
