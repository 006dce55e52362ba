/**
 * The two modules of undici that are used, loaded when a source is opened: its index takes 75 ms more than these, and commands that need
 * no network start without any of it.
 */

import { createRequire } from 'node:module';
import type { buildConnector, Pool } from 'undici';

export interface Undici {
  Pool: new (origin: string, options: Pool.Options) => Pool;
  buildConnector(options: buildConnector.BuildOptions): buildConnector.connector;
}

const require = createRequire(import.meta.url);

export function loadUndici(): Undici {
  deferHttp2();
  return { Pool: require('undici/lib/dispatcher/pool.js'), buildConnector: require('undici/lib/core/connect.js') };
}

/** The part for HTTP/2 brings Node's HTTP/2 and TLS along, 15 ms, and is only called for a server that has chosen HTTP/2. */
function deferHttp2(): void {
  const path = require.resolve('undici/lib/dispatcher/client-h2.js');
  if (require.cache[path] !== undefined) return;
  const connect = (...args: unknown[]): unknown => {
    if (require.cache[path] === deferred) delete require.cache[path];
    return require(path)(...args);
  };
  const deferred = Object.assign(Object.create(null), { id: path, filename: path, loaded: true, exports: connect });
  require.cache[path] = deferred;
}
