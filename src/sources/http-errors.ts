/** Transport failures: which are worth another attempt, and how to say them. */

import { SourceError, type Where } from '../errors.ts';

/** Failures of the way, not of the answer: another attempt may go through. */
const TRANSIENT = new Set([
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EAI_AGAIN',
  'UND_ERR_SOCKET',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
  'UND_ERR_INFO', // HTTP/2: the session or stream went away under the request
  'HPE_INVALID_EOF_STATE', // HTTP/1.1: closed inside a chunked body
  'HTTP_CLOSED',
  'HTTP_CONNECT_TIMEOUT',
  'HTTP_HEADERS_TIMEOUT',
  'HTTP_BODY_TIMEOUT',
]);

/** Of our own connections. */
type TransportCode = 'HTTP_CLOSED' | 'HTTP_CONNECT_TIMEOUT' | 'HTTP_HEADERS_TIMEOUT' | 'HTTP_BODY_TIMEOUT';

const EXPLAINED: Record<string, string> & Record<TransportCode, string> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'the connection was reset',
  EPIPE: 'the connection was closed',
  ENOTFOUND: 'host not found',
  EAI_AGAIN: 'the host name could not be looked up',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'network unreachable',
  ETIMEDOUT: 'connecting took too long',
  UND_ERR_CONNECT_TIMEOUT: 'connecting took too long',
  UND_ERR_HEADERS_TIMEOUT: 'no answer in time',
  UND_ERR_BODY_TIMEOUT: 'the transfer stalled',
  UND_ERR_SOCKET: 'the connection was closed before the end of the answer',
  UND_ERR_INFO: 'the connection was closed before the end of the answer',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'the body is not as long as announced',
  HPE_INVALID_EOF_STATE: 'the connection was closed before the end of the answer',
  HTTP_CLOSED: 'the connection was closed before the end of the answer',
  HTTP_CONNECT_TIMEOUT: 'connecting took too long',
  HTTP_HEADERS_TIMEOUT: 'no answer in time',
  HTTP_BODY_TIMEOUT: 'the transfer stalled',
};

/** A connection of ours that ended before its request did. */
export class TransportError extends Error {
  readonly code: TransportCode;

  constructor(code: TransportCode) {
    super(EXPLAINED[code]);
    this.code = code;
  }
}

/** An answer that is not HTTP/1.1 as it is written down. Asking again would not help. */
export class ProtocolError extends Error {
  /** @param problem about the answer: "its …", "there is …" */
  constructor(problem: string) {
    super(`the answer is not proper HTTP/1.1: ${problem}`);
  }
}

/** @param reached whether this server has answered before: then a refused connection is a restart, not a wrong address */
export function isTransient(error: Error, reached: boolean): boolean {
  const code = codeOf(error);
  return TRANSIENT.has(code) || code.startsWith('ERR_HTTP2_') || (reached && code === 'ECONNREFUSED');
}

/** @param attempts how many were made in all */
export function transportError(error: Error, where: Where, attempts: number): SourceError {
  const code = codeOf(error);
  const reason = EXPLAINED[code] ?? (code === '' ? error.message : `${error.message} (${code})`);
  return new SourceError(reason + afterAttempts(attempts), where, { cause: error });
}

export const afterAttempts = (attempts: number): string => (attempts > 1 ? ` (${attempts} attempts)` : '');

const codeOf = (error: Error): string => {
  const { code } = error as NodeJS.ErrnoException;
  return typeof code === 'string' ? code : '';
};
