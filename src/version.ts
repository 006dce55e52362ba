/** Our own version, from package.json beside `src` or `dist`. */

import { readFileSync } from 'node:fs';

/** Where the bundler has put it in. */
declare const PACKAGE_VERSION: string | undefined;

export const readVersion = (): string => (typeof PACKAGE_VERSION === 'string' ? PACKAGE_VERSION : fromPackage());

const fromPackage = (): string =>
  (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }).version;
