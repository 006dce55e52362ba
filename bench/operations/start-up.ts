import type { Operation } from '../operation.ts';
import { cfsOstree } from '../programs.ts';

const EMPTY_NODE = 'node -e 0';

export const startUp: Operation = {
  title: 'start-up: a command that opens a repository and does next to nothing',
  contestants: [
    {
      label: 'cfs-ostree refs',
      prepare: async ({ stores }) => [cfsOstree(await stores.withBase('cfs-ostree'), 'refs')],
    },
    { label: EMPTY_NODE, prepare: async () => [{ args: [process.execPath, '-e', '0'] }] },
  ],
  targets: [{ kind: 'added time', against: EMPTY_NODE, atMostSeconds: 0.02 }],
  minRounds: 25,
};
