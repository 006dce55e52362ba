/** A commit for people, as `git log` and `ostree log` show one. */

import { formatTime } from './format-time.ts';
import { shownLines, shownText } from './shown-text.ts';
import type { Painter } from './terminal.ts';

export interface CommitHead {
  commit: string;
  parent?: string;
  timestamp: string;
  version?: string;
  subject: string;
  body?: string;
}

export function formatCommitHead(
  paint: Painter,
  { commit, parent, timestamp, version, subject, body }: CommitHead,
): string {
  const lines = [paint('yellow', `commit ${commit}`)];
  if (parent !== undefined) lines.push(`Parent:  ${parent}`);
  lines.push(`Date:    ${formatTime(timestamp)}`);
  if (version !== undefined) lines.push(`Version: ${shownText(version)}`);
  lines.push('', `    ${subject === '' ? '(no subject)' : shownText(subject)}`);
  if (body !== undefined)
    lines.push(
      '',
      ...shownLines(body.trimEnd())
        .split('\n')
        .map((line) => `    ${line}`.trimEnd()),
    );
  return `${lines.join('\n')}\n`;
}
