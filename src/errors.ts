/** The one error tree. `code` may be matched on; messages may be reworded. Exit codes: doc/exit-codes.md. */

export const ExitCode = {
  ok: 0,
  internal: 1,
  usage: 2,
  findings: 3,
  notFound: 4,
  corrupt: 5,
  source: 6,
  untrusted: 7,
  conflict: 8,
  noSpace: 9,
  noRepository: 10,
  locked: 11,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** Where in the input a problem was met. `offset` is in bytes from the start of `file` or `object`. */
export interface Where {
  /** Path, repository-relative where it lies in a repository, or a URL. */
  file?: string;
  /** `<checksum>.<type>` of an ostree object, or an object id. */
  object?: string;
  format?: string;
  field?: string;
  offset?: number;
}

export function describeWhere(where: Where): string {
  const place = [where.file, where.object].filter((part) => part !== undefined).join(': ');
  const field = [where.format, where.field].filter((part) => part !== undefined).join(' ');
  const at = where.offset === undefined ? field : `${field === '' ? '' : `${field} `}at offset ${where.offset}`;
  return [place, at]
    .filter((part) => part !== '')
    .map((part) => `${part}: `)
    .join('');
}

/** Anything we can explain to the user. */
export abstract class CfsError extends Error {
  abstract readonly code: string;
  abstract readonly exitCode: ExitCode;
  readonly where: Where;
  constructor(problem: string, where: Where = {}, options?: ErrorOptions) {
    super(`${describeWhere(where)}${problem}`, options);
    this.where = where;
    this.name = new.target.name;
  }
}

/** The command line or an option value is wrong. */
export class UsageError extends CfsError {
  readonly code = 'CFS_USAGE';
  readonly exitCode = ExitCode.usage;
}

/** The asked-for ref, commit, image or path does not exist. */
export class NotFoundError extends CfsError {
  readonly code = 'CFS_NOT_FOUND';
  readonly exitCode = ExitCode.notFound;
}

/** Bytes break the format they claim to be. Never used for our own bugs. */
export class FormatError extends CfsError {
  readonly code: string = 'CFS_FORMAT';
  readonly exitCode = ExitCode.corrupt;
}

/** Well-formed, but larger, deeper or more numerous than we accept. */
export class LimitError extends FormatError {
  override readonly code = 'CFS_LIMIT';
}

/** Bytes do not hash to the name they were asked for by. */
export class DigestMismatchError extends CfsError {
  readonly code = 'CFS_DIGEST_MISMATCH';
  readonly exitCode = ExitCode.corrupt;
  readonly expected: string;
  readonly actual: string;
  constructor(expected: string, actual: string, where: Where, options?: ErrorOptions) {
    super(`expected digest ${expected}, got ${actual}`, where, options);
    this.expected = expected;
    this.actual = actual;
  }
}

/** An object that a ref, commit or stream names is missing where it must be. */
export class MissingObjectError extends CfsError {
  readonly code = 'CFS_MISSING_OBJECT';
  readonly exitCode = ExitCode.corrupt;
}

/** The source cannot be reached or refuses: network, HTTP status, permission. */
export class SourceError extends CfsError {
  readonly code = 'CFS_SOURCE';
  readonly exitCode = ExitCode.source;
}

/** Ref binding, signature or required digest says no. */
export class UntrustedError extends CfsError {
  readonly code = 'CFS_UNTRUSTED';
  readonly exitCode = ExitCode.untrusted;
}

/** Something is there already, or moved meanwhile. */
export class ConflictError extends CfsError {
  readonly code = 'CFS_CONFLICT';
  readonly exitCode = ExitCode.conflict;
}

export class NoSpaceError extends CfsError {
  readonly code = 'CFS_NO_SPACE';
  readonly exitCode = ExitCode.noSpace;
}

/** No repository there, or not one we may use as asked. */
export class RepositoryError extends CfsError {
  readonly code: string = 'CFS_REPOSITORY';
  readonly exitCode = ExitCode.noRepository;
}

/** The native addon is needed for this and could not be loaded. */
export class AddonNeededError extends RepositoryError {
  override readonly code = 'CFS_ADDON_NEEDED';
}

export class LockedError extends CfsError {
  readonly code = 'CFS_LOCKED';
  readonly exitCode = ExitCode.locked;
}

/**
 * What went wrong with files or with what is in them, in words for a warning or a finding.
 * @throws error where it is anything else: our own mistakes are not explained away
 */
export function problemText(error: unknown): string {
  if (error instanceof CfsError || (error instanceof Error && 'errno' in error)) return error.message;
  throw error;
}

/**
 * Turns an errno error of a write to the repository into one that we can explain; anything else comes back unchanged.
 * ENOSPC, EDQUOT → NoSpaceError; EROFS, EACCES, EPERM, EIO → RepositoryError.
 */
export function explainWriteError(error: unknown, where: Where): unknown {
  if (error instanceof CfsError || !(error instanceof Error)) return error;
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new NoSpaceError('no space left to write here', where, { cause: error });
    case 'EROFS':
      return new RepositoryError('is on a read-only file system', where, { cause: error });
    case 'EACCES':
    case 'EPERM':
      return new RepositoryError('permission denied', where, { cause: error });
    case 'EIO':
      return new RepositoryError('cannot be written: the disk fails', where, { cause: error });
    default:
      return error;
  }
}
