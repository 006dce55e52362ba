import { type Operation, wallRatio } from '../operation.ts';
import { cfsctl, cfsOstree } from '../programs.ts';

export const pullHttpImage: Operation = {
  title: 'HTTP pull of everything into an empty store, with the image',
  contestants: [
    {
      label: 'cfs-ostree --create-image',
      prepare: async ({ fixture: { base }, stores, servers }) => [
        cfsOstree(await stores.empty('cfs-ostree'), 'pull', '--create-image', (await servers.near()).url, base.ref),
      ],
    },
    {
      label: 'cfsctl',
      needs: ['cfsctl'],
      prepare: async ({ fixture: { base }, stores, servers }) => [
        cfsctl(await stores.empty('cfsctl'), 'ostree', 'pull', '--no-delta', (await servers.near()).url, base.ref),
      ],
    },
  ],
  targets: [wallRatio('cfsctl', 0.6)],
};
