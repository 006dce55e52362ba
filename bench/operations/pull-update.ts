import { setTimeout as sleep } from 'node:timers/promises';
import { type Bench, type Counts, type Operation, wallRatio } from '../operation.ts';
import { cfsctl, cfsOstree, ostree, run } from '../programs.ts';
import { REMOTE } from '../stores.ts';

/** nginx writes a request down after it has answered it. */
const LOG_DELAY_MS = 200;

export const pullUpdate: Operation = {
  title: 'HTTP update, 1 % of the files changed or new',
  contestants: [
    {
      label: 'cfs-ostree',
      prepare: async ({ fixture: { update }, stores, servers }) => [
        cfsOstree(await stores.copyWithBase('cfs-ostree'), 'pull', (await servers.near()).url, update.ref),
      ],
    },
    {
      label: 'cfsctl',
      needs: ['cfsctl'],
      prepare: async ({ fixture: { base, update }, stores, servers }) => [
        cfsctl(
          await stores.copyWithBase('cfsctl'),
          ...['ostree', 'pull', '--no-delta', '--base-name', base.ref, (await servers.near()).url, update.ref],
        ),
      ],
    },
    {
      label: 'ostree',
      needs: ['ostree'],
      prepare: async ({ fixture: { update }, stores }) => [
        ostree(await stores.copyWithBase('ostree'), 'pull', REMOTE, update.ref),
      ],
    },
  ],
  targets: [
    wallRatio('cfsctl', 0.25),
    wallRatio('ostree', 0.8),
    { kind: 'count', count: 'requests', atMost: 3, plus: 'changed objects' },
  ],
  count: countRequests,
};

async function countRequests({ fixture, stores, servers }: Bench): Promise<Counts> {
  const server = await servers.startCounting();
  await run(cfsOstree(await stores.copyWithBase('cfs-ostree'), 'pull', server.url, fixture.update.ref));
  await sleep(LOG_DELAY_MS);
  return { requests: (await server.requests()).length, 'changed objects': fixture.changedObjects };
}
