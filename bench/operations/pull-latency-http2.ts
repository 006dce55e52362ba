import { type Bench, type Contestant, type Operation, wallRatio } from '../operation.ts';
import { cfsOstree, run } from '../programs.ts';
import { type Protocol, ROUND_TRIP_MS } from '../servers.ts';

const OVER_HTTP1 = 'cfs-ostree, HTTP/1.1';

/** Both over TLS, where HTTP/2 is agreed on; the server offers one of them. */
const over = (label: string, protocol: Protocol): Contestant => ({
  label,
  needs: ['openssl'],
  prepare: async ({ fixture: { update }, stores, servers }) => {
    const { url, env } = await servers.far(protocol);
    return [{ ...cfsOstree(await stores.copyWithBase('cfs-ostree'), 'pull', url, update.ref), env }];
  },
});

export const pullLatencyHttp2: Operation = {
  title: `update over TLS through a round trip of ${ROUND_TRIP_MS} ms`,
  contestants: [over('cfs-ostree, HTTP/2', 'http2-tls'), over(OVER_HTTP1, 'http1-tls')],
  targets: [wallRatio(OVER_HTTP1, 1), { kind: 'count', count: 'connections', atMost: 1 }],
  async count({ fixture: { update }, stores, servers }: Bench) {
    const { url, env, connections } = await servers.far('http2-tls');
    await connections();
    await run({ ...cfsOstree(await stores.copyWithBase('cfs-ostree'), 'pull', url, update.ref), env });
    return { connections: await connections() };
  },
};
