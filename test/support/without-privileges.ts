/** A program started by root that may do no more than anybody else: what other users own is closed to it. */

/** Arguments in front of a command. Uid 0 without any capability, so that it can still read a checkout that belongs to root. */
export const WITHOUT_PRIVILEGES = [
  'setpriv',
  '--bounding-set=-all',
  '--inh-caps=-all',
  '--no-new-privs',
  '--',
] as const;

/** Owner of files that such a program has no rights to beyond those of everybody. */
export const SOMEBODY_ELSE = 12_345;
