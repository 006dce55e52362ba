import { type Operation, wallRatio } from '../operation.ts';
import { cfsctl, cfsOstree, ostree } from '../programs.ts';
import { ROUND_TRIP_MS } from '../servers.ts';
import { REMOTE } from '../stores.ts';

export const pullLatency: Operation = {
  title: `HTTP update through a round trip of ${ROUND_TRIP_MS} ms`,
  contestants: [
    {
      label: 'cfs-ostree',
      prepare: async ({ fixture: { update }, stores, servers }) => [
        cfsOstree(await stores.copyWithBase('cfs-ostree'), 'pull', (await servers.far()).url, update.ref),
      ],
    },
    {
      label: 'cfsctl',
      needs: ['cfsctl'],
      prepare: async ({ fixture: { base, update }, stores, servers }) => [
        cfsctl(
          await stores.copyWithBase('cfsctl'),
          ...['ostree', 'pull', '--no-delta', '--base-name', base.ref, (await servers.far()).url, update.ref],
        ),
      ],
    },
    {
      label: 'ostree',
      needs: ['ostree'],
      prepare: async ({ fixture: { update }, stores, servers }) => [
        ostree(
          await stores.copyWithBase('ostree'),
          ...['pull', `--url=${(await servers.far()).url}`, REMOTE, update.ref],
        ),
      ],
    },
  ],
  targets: [wallRatio('cfsctl', 0.3), wallRatio('ostree', 0.3)],
};
