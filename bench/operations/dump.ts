import type { Operation } from '../operation.ts';
import { cfsctl, cfsOstree } from '../programs.ts';

export const dump: Operation = {
  title: 'dump of a stored commit',
  contestants: [
    {
      label: 'cfs-ostree',
      prepare: async ({ fixture: { base }, stores }) => [
        { ...cfsOstree(await stores.withBase('cfs-ostree'), 'dump', base.ref), stdoutFile: stores.path() },
      ],
    },
    {
      label: 'cfsctl',
      needs: ['cfsctl'],
      prepare: async ({ fixture: { base }, stores }) => [
        { ...cfsctl(await stores.withBase('cfsctl'), 'ostree', 'dump', base.ref), stdoutFile: stores.path() },
      ],
    },
  ],
  targets: [],
};
