/** Web servers for the fixture's archive repository, near and far, each started when it is first needed. */

import { type Nginx, type NginxOptions, startNginx } from '../test/support/nginx.ts';
import { type DelayProxy, startDelayProxy } from './delay-proxy.ts';

export const ROUND_TRIP_MS = 50;

export interface Server {
  url: string;
  /** What makes a client written for Node trust it. */
  env: Record<string, string>;
}

export interface FarServer extends Server {
  /** Since it was asked last. */
  connections(): Promise<number>;
}

/** `http`: without TLS. The others are TLS, and speak the one protocol. */
export type Protocol = 'http' | 'http1-tls' | 'http2-tls';

const OPTIONS: Record<Protocol, Partial<NginxOptions>> = {
  http: {},
  'http1-tls': { tls: true },
  'http2-tls': { http2: true },
};

export class Servers implements AsyncDisposable {
  readonly #root: string;
  readonly #started = new AsyncDisposableStack();
  readonly #near = new Map<Protocol, Promise<Nginx>>();
  readonly #far = new Map<Protocol, Promise<DelayProxy>>();

  constructor(root: string) {
    this.#root = root;
  }

  async near(protocol: Protocol = 'http'): Promise<Server> {
    return describe(await this.#nginx(protocol));
  }

  /** Behind a round trip of ROUND_TRIP_MS. */
  async far(protocol: Protocol = 'http'): Promise<FarServer> {
    const nginx = await this.#nginx(protocol);
    const { port: nearPort } = new URL(nginx.url);
    const proxy = remember(this.#far, protocol, async () =>
      this.#started.use(await startDelayProxy(Number(nearPort), ROUND_TRIP_MS / 2)),
    );
    const { port, connections } = await proxy;
    const { env } = describe(nginx);
    return { url: nginx.url.replace(`:${nearPort}`, `:${port}`), env, connections };
  }

  /** One that writes down what is asked for. */
  async startCounting(): Promise<Nginx> {
    return this.#started.use(await startNginx({ root: this.#root }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#started.disposeAsync();
  }

  #nginx(protocol: Protocol): Promise<Nginx> {
    const options = {
      root: this.#root,
      serverConfiguration: 'access_log off; tcp_nopush on;',
      ...OPTIONS[protocol],
    };
    return remember(this.#near, protocol, async () => this.#started.use(await startNginx(options)));
  }
}

const describe = ({ url, certificateFile }: Nginx): Server => ({
  url,
  env: certificateFile === undefined ? {} : { NODE_EXTRA_CA_CERTS: certificateFile },
});

function remember<K, V>(made: Map<K, V>, key: K, make: () => V): V {
  const value = made.get(key) ?? make();
  made.set(key, value);
  return value;
}
