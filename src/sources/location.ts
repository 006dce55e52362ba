/** What the user typed after `pull`: a URL or a path. */

import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UsageError } from '../errors.ts';

export interface HttpLocation {
  kind: 'http';
  /** `https://host:port`, without credentials. */
  origin: string;
  /** Percent-encoded path without a slash at its end: '' or `/a/b`. */
  basePath: string;
  /** Value of the Authorization header, where the URL carried a user. */
  authorization?: string;
}

export interface LocalLocation {
  kind: 'local';
  /** Absolute. */
  path: string;
}

/** @throws UsageError for schemes other than http, https and file, and for URLs that cannot be a repository's */
export function parseLocation(location: string): HttpLocation | LocalLocation {
  if (location === '') throw new UsageError('the source is empty, expected a URL or a path');
  if (/^file:/i.test(location)) return { kind: 'local', path: filePath(location) };
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(location)) return { kind: 'local', path: resolve(location) };

  const url = parseUrl(location);
  const shown = withoutCredentials(url);
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new UsageError(`cannot read from ${url.protocol} URLs, expected http:, https:, file: or a path`, {
      file: shown,
    });
  // Object paths are appended to the base: a query or fragment would end up in the middle.
  if (url.search !== '' || url.hash !== '')
    throw new UsageError('a repository URL cannot have a query or fragment', { file: shown });
  return {
    kind: 'http',
    origin: url.origin,
    basePath: url.pathname.replace(/\/+$/, ''),
    authorization: authorization(url),
  };
}

function parseUrl(text: string): URL {
  try {
    return new URL(text);
  } catch (error) {
    throw new UsageError('not a valid URL', {}, { cause: error }); // not shown: it may hold a password
  }
}

function filePath(location: string): string {
  // `file:a/b` would be taken for /a/b.
  if (!/^file:\//i.test(location)) throw new UsageError('a file: URL needs an absolute path', { file: location });
  const url = parseUrl(location);
  if (url.search !== '' || url.hash !== '')
    throw new UsageError('a file: URL cannot have a query or fragment (write ? as %3F, # as %23)', { file: location });
  try {
    return fileURLToPath(url);
  } catch (error) {
    throw new UsageError('not a file: URL of this machine', { file: location }, { cause: error });
  }
}

/** A URL as it may appear in messages: no user, password, query or fragment (signed links carry secrets there). */
export const withoutCredentials = (url: URL): string => `${url.protocol}//${url.host}${url.pathname}`;

function authorization(url: URL): string | undefined {
  if (url.username === '' && url.password === '') return undefined;
  const pair = `${decodePart(url.username)}:${decodePart(url.password)}`;
  return `Basic ${Buffer.from(pair, 'utf8').toString('base64')}`;
}

function decodePart(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a % that starts no escape stands for itself
  }
}
