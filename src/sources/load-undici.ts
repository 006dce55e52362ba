/**
 * The two modules of undici that are used, loaded with the first connection that needs them: its index takes 75 ms more than these, and
 * most commands, and plain HTTP, need none of it.
 */

import { createRequire } from 'node:module';
import type { buildConnector, Pool } from 'undici';

interface Undici {
  Pool: new (origin: string, options: Pool.Options) => Pool;
  buildConnector(options: buildConnector.BuildOptions): buildConnector.connector;
}

const require = createRequire(import.meta.url);

export const loadUndici = (): Undici => ({
  Pool: require('undici/lib/dispatcher/pool.js'),
  buildConnector: require('undici/lib/core/connect.js'),
});
