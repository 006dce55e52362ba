/** From whatever was thrown to an exit status and words. */

import { CommanderError } from 'commander';
import { CfsError, ExitCode, type Where } from '../errors.ts';
import { InterruptedError } from './interruption.ts';
import { shownLines } from './shown-text.ts';

export interface Failure {
  exitCode: number;
  /** Stable word for programs. */
  code: string;
  message: string;
  where?: Where;
  causes: Error[];
  /** A bug of ours: the stack is part of the report. */
  stack?: string;
}

/** What a system error means for the user when no operation has explained it. */
const EXPLAINED_ERRNO: Record<string, { exitCode: number; code: string }> = {
  ENOSPC: { exitCode: ExitCode.noSpace, code: 'CFS_NO_SPACE' },
  EDQUOT: { exitCode: ExitCode.noSpace, code: 'CFS_NO_SPACE' },
  EFBIG: { exitCode: ExitCode.noSpace, code: 'CFS_NO_SPACE' },
  EMFILE: { exitCode: ExitCode.noSpace, code: 'CFS_NO_SPACE' },
  ENFILE: { exitCode: ExitCode.noSpace, code: 'CFS_NO_SPACE' },
  ENOMEM: { exitCode: ExitCode.noSpace, code: 'CFS_NO_SPACE' },
  EACCES: { exitCode: ExitCode.noRepository, code: 'CFS_REPOSITORY' },
  EPERM: { exitCode: ExitCode.noRepository, code: 'CFS_REPOSITORY' },
  EROFS: { exitCode: ExitCode.noRepository, code: 'CFS_REPOSITORY' },
  EIO: { exitCode: ExitCode.corrupt, code: 'CFS_FORMAT' },
  ENOENT: { exitCode: ExitCode.notFound, code: 'CFS_NOT_FOUND' },
  ENOTDIR: { exitCode: ExitCode.notFound, code: 'CFS_NOT_FOUND' },
  ECONNREFUSED: { exitCode: ExitCode.source, code: 'CFS_SOURCE' },
  ECONNRESET: { exitCode: ExitCode.source, code: 'CFS_SOURCE' },
  ETIMEDOUT: { exitCode: ExitCode.source, code: 'CFS_SOURCE' },
};

export function explainFailure(error: unknown): Failure {
  if (error instanceof CfsError)
    return {
      exitCode: error.exitCode,
      code: error.code,
      message: error.message,
      where: error.where,
      causes: causesOf(error),
    };
  if (error instanceof InterruptedError)
    return { exitCode: error.exitCode, code: error.code, message: error.message, causes: [] };
  if (error instanceof CommanderError)
    return { exitCode: ExitCode.usage, code: 'CFS_USAGE', message: error.message.replace(/^error: /, ''), causes: [] };
  const known = isErrnoError(error) ? EXPLAINED_ERRNO[error.code] : undefined;
  if (known !== undefined) {
    const { message, path } = error as NodeJS.ErrnoException;
    return {
      ...known,
      message,
      ...(path === undefined ? {} : { where: { file: path } }),
      causes: causesOf(error as Error),
    };
  }
  const bug = error instanceof Error ? error : new Error(String(error));
  return {
    exitCode: ExitCode.internal,
    code: 'CFS_INTERNAL',
    message: bug.message,
    causes: causesOf(bug),
    stack: bug.stack,
  };
}

const isErrnoError = (error: unknown): error is NodeJS.ErrnoException & { code: string } =>
  error instanceof Error && typeof (error as NodeJS.ErrnoException).code === 'string' && 'syscall' in error;

/** Longest chain of causes that is shown. */
const MAX_CAUSES = 8;

function causesOf(error: Error): Error[] {
  const causes: Error[] = [];
  for (let next = error.cause; next instanceof Error && causes.length < MAX_CAUSES; next = next.cause)
    causes.push(next);
  return causes;
}

/** For people: the problem, then what caused it, each on its own line. */
export function formatFailure({ code, message, causes, stack }: Failure): string {
  const lines = [`cfs-ostree: ${code === 'CFS_INTERNAL' ? 'internal error: ' : ''}${shownLines(message)}`];
  let before = message;
  for (const cause of causes) {
    if (!before.includes(cause.message)) lines.push(`  caused by: ${shownLines(cause.message)}`);
    before = cause.message;
  }
  if (stack !== undefined) lines.push(shownLines(stack));
  if (code === 'CFS_INTERNAL')
    lines.push(
      'This is a bug in cfs-ostree. Please report it to its maintainers with the command and all lines above.',
    );
  return `${lines.join('\n')}\n`;
}

/** For programs: one line. */
export function failureAsJson({ code, message, where, causes }: Failure): string {
  const cause = causes.reduceRight<object | undefined>((inner, error) => {
    const causeCode = (error as NodeJS.ErrnoException).code;
    return {
      ...(typeof causeCode === 'string' ? { code: causeCode } : {}),
      message: error.message,
      ...(inner === undefined ? {} : { cause: inner }),
    };
  }, undefined);
  const isPlace = where !== undefined && Object.values(where).some((part) => part !== undefined);
  return `${JSON.stringify({
    error: { code, message, ...(isPlace ? { where } : {}), ...(cause === undefined ? {} : { cause }) },
  })}\n`;
}
