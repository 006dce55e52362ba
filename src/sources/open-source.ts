/** From a location to the source that reads it. */

import { parseLocation } from './location.ts';
import type { Source, SourceOptions } from './source.ts';

/**
 * @param location `http:`, `https:` or `file:` URL, or a path
 * @throws UsageError for another kind of URL; RepositoryError where no ostree repository is, or one of a mode or version that
 * cannot be read this way; FormatError for a damaged configuration; SourceError when the server cannot be reached or refuses
 */
export async function openSource(location: string, options: SourceOptions = {}): Promise<Source> {
  const place = parseLocation(location);
  // Only one of them is needed, and a program that finds nothing to do is mostly the loading of its modules.
  if (place.kind === 'http') return (await import('./http-source.ts')).openHttpSource(place, options);
  return (await import('./local-source.ts')).openLocalSource(place.path);
}
