/** One line of words for a progress event. */

import type { ProgressEvent } from '../progress.ts';
import { formatBytes, formatCount } from './format-size.ts';
import { formatClock } from './format-time.ts';
import type { Pace } from './progress-rate.ts';

/** `files  1,234/60,000  1.2/3.4 GiB  45 MiB/s  0:34 left`; what is not known is left out. */
export function progressLine(event: ProgressEvent, pace: Pace): string {
  const { phase, done, total, bytesDone, bytesTotal } = event;
  const parts = [phase];
  if (total !== undefined || done > 0)
    parts.push(total === undefined ? formatCount(done) : `${formatCount(done)}/${formatCount(total)}`);
  if (bytesDone)
    // none yet says nothing
    parts.push(
      bytesTotal === undefined ? formatBytes(bytesDone) : `${formatBytes(bytesDone)}/${formatBytes(bytesTotal)}`,
    );
  if (pace.bytesPerSecond !== undefined) parts.push(`${formatBytes(pace.bytesPerSecond)}/s`);
  else if (pace.objectsPerSecond !== undefined) parts.push(`${formatCount(Math.round(pace.objectsPerSecond))}/s`);
  if (pace.leftMs !== undefined) parts.push(`${formatClock(pace.leftMs)} left`);
  return parts.join('  ');
}
