/** What each exit status means; doc/exit-codes.md is the long form. */

import type { ExitCode } from '../errors.ts';

export const EXIT_STATUS_TEXTS: Record<keyof typeof ExitCode, string> = {
  ok: 'Done.',
  internal: 'Internal error: a bug.',
  usage: 'Wrong usage, or Node.js is too old.',
  findings: 'A check found errors, or diff --exit-code differences.',
  notFound: 'The ref, commit, image or path that was asked for does not exist.',
  corrupt: 'Data is damaged or malformed, or exceeds a limit.',
  source: 'The source cannot be reached or refuses.',
  untrusted: 'Not trusted: a binding, signature or required digest says no.',
  conflict: 'Conflict: something is there already, or moved meanwhile.',
  noSpace: 'No space left, or a quota or other limit of the system is used up.',
  noRepository: 'No repository there, or not one that can be used as asked.',
  locked: 'Locked by another process for longer than --lock-timeout.',
};
