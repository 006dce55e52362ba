/** Which engine takes file objects in. */

import { native } from '../native.ts';
import type { FileIngest, IngestOptions } from './ingest.ts';
import { NativeIngest } from './ingest-native.ts';
import { PortableIngest } from './ingest-portable.ts';
import type { Repository } from './repository.ts';

export function openIngest(repo: Repository, options: IngestOptions = {}): FileIngest {
  return native === undefined ? new PortableIngest(repo, options) : new NativeIngest(native, repo, options);
}
