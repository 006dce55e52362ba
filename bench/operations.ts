/** Everything that can be compared, in the order in which it is measured and shown. */

import type { Operation } from './operation.ts';
import { commit } from './operations/commit.ts';
import { createImage } from './operations/create-image.ts';
import { dump } from './operations/dump.ts';
import { exportArchive } from './operations/export-archive.ts';
import { exportBare } from './operations/export-bare.ts';
import { fsck } from './operations/fsck.ts';
import { gc } from './operations/gc.ts';
import { nothingToDo } from './operations/nothing-to-do.ts';
import { pullHttp } from './operations/pull-http.ts';
import { pullHttpImage } from './operations/pull-http-image.ts';
import { pullLatency } from './operations/pull-latency.ts';
import { pullLatencyHttp2 } from './operations/pull-latency-http2.ts';
import { pullLocalArchive } from './operations/pull-local-archive.ts';
import { pullLocalBare } from './operations/pull-local-bare.ts';
import { pullLocalLink } from './operations/pull-local-link.ts';
import { pullUpdate } from './operations/pull-update.ts';
import { pullUpdateHistory } from './operations/pull-update-history.ts';
import { startUp } from './operations/start-up.ts';

export const OPERATIONS: Readonly<Record<string, Operation>> = {
  'pull-http': pullHttp,
  'pull-http-image': pullHttpImage,
  'pull-update': pullUpdate,
  'pull-update-history': pullUpdateHistory,
  'pull-latency': pullLatency,
  'pull-latency-http2': pullLatencyHttp2,
  'pull-local-archive': pullLocalArchive,
  'pull-local-bare': pullLocalBare,
  'pull-local-link': pullLocalLink,
  'nothing-to-do': nothingToDo,
  'start-up': startUp,
  'create-image': createImage,
  dump,
  fsck,
  gc,
  commit,
  'export-archive': exportArchive,
  'export-bare': exportBare,
};
