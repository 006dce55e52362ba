/** Which engine takes file objects in. */

import { native } from '../native.ts';
import type { FileIngest, IngestOptions } from './ingest.ts';
import { NativeIngest } from './ingest-native.ts';
import type { Repository } from './repository.ts';

export async function openIngest(repo: Repository, options: IngestOptions = {}): Promise<FileIngest> {
  if (native !== undefined) return new NativeIngest(native, repo, options);
  const { PortableIngest } = await import('./ingest-portable.ts'); // and what it needs of Node, which takes time
  return new PortableIngest(repo, options);
}
