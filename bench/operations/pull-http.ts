import { cpuRatio, memoryTarget, type Operation, wallRatio } from '../operation.ts';
import { cfsctl, cfsOstree, ostree } from '../programs.ts';
import { REMOTE } from '../stores.ts';

/** cfsctl always makes the image too. */
export const pullHttp: Operation = {
  title: 'HTTP pull of everything into an empty store',
  contestants: [
    {
      label: 'cfs-ostree',
      prepare: async ({ fixture: { base }, stores, servers }) => [
        cfsOstree(await stores.empty('cfs-ostree'), 'pull', (await servers.near()).url, base.ref),
      ],
    },
    {
      label: 'cfsctl',
      needs: ['cfsctl'],
      prepare: async ({ fixture: { base }, stores, servers }) => [
        cfsctl(await stores.empty('cfsctl'), 'ostree', 'pull', '--no-delta', (await servers.near()).url, base.ref),
      ],
    },
    {
      label: 'ostree',
      needs: ['ostree'],
      prepare: async ({ fixture: { base }, stores }) => [
        ostree(await stores.empty('ostree'), 'pull', REMOTE, base.ref),
      ],
    },
  ],
  targets: [
    wallRatio('cfsctl', 0.55, 0.42),
    wallRatio('ostree', 0.42, 0.33),
    cpuRatio('cfsctl', 0.6),
    memoryTarget(150),
  ],
};
