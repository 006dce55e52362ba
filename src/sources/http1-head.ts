/** The head of an HTTP/1.1 response (RFC 9112), read strictly: what could be understood in two ways is refused. */

import { ProtocolError } from './http-errors.ts';

/** How the end of the body is found. */
export type BodyFraming = { form: 'length'; sizeBytes: number } | { form: 'chunked' } | { form: 'until-close' };

export interface ResponseHead {
  status: number;
  /** Only those that a request looks at. */
  headers: { 'content-length'?: string; 'content-encoding'?: string; location?: string };
  body: BodyFraming;
  /** Whether the connection can be used again after the body. */
  isKeptAlive: boolean;
  /** How long the server keeps it without a request, where it says so. */
  idleSeconds: number | undefined;
}

interface Fields {
  'content-length'?: string;
  'transfer-encoding'?: string;
  'content-encoding'?: string;
  'keep-alive'?: string;
  connection?: string;
  location?: string;
}

/** Two of these have no certain meaning: servers, proxies and clients choose differently. */
const SINGLE: ReadonlySet<string> = new Set(['content-length', 'transfer-encoding', 'location']);
const KNOWN: ReadonlySet<string> = new Set([...SINGLE, 'content-encoding', 'keep-alive', 'connection']);
const KNOWN_LENGTHS: ReadonlySet<number> = new Set([...KNOWN].map((name) => name.length));

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?$/;
// No white space before the colon, no folded lines, no control characters.
const FIELD_LINES = /^(?:[-!#$%&'*+.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*$/;

/**
 * @param text the status line and the fields, in latin1, each with its CR LF; not the empty line behind them
 * @throws ProtocolError
 */
export function parseResponseHead(text: string): ResponseHead {
  const fieldsAt = text.indexOf('\r\n') + 2;
  const statusLine = STATUS_LINE.exec(text.slice(0, fieldsAt - 2));
  if (statusLine === null) throw new ProtocolError('the status line is none');
  const fields = parseFields(text.slice(fieldsAt));
  const isOld = statusLine[1] === '0';
  const status = Number(statusLine[2]);
  const options = fields.connection?.toLowerCase().split(/[ \t]*,[ \t]*/) ?? [];
  const body = bodyFraming(status, isOld, fields);
  const idle = /(?:^|[ ,])timeout=([0-9]{1,6})(?:[ ,]|$)/i.exec(fields['keep-alive'] ?? '');
  return {
    status,
    headers: {
      'content-length': fields['content-length'],
      'content-encoding': fields['content-encoding'],
      location: fields.location,
    },
    body,
    isKeptAlive:
      body.form !== 'until-close' && (isOld ? options.includes('keep-alive') : true) && !options.includes('close'),
    idleSeconds: idle === null ? undefined : Number(idle[1]),
  };
}

function parseFields(text: string): Fields {
  if (!FIELD_LINES.test(text)) throw new ProtocolError('a header field is malformed');
  const fields: Fields = {};
  for (let at = 0; at < text.length; ) {
    const colon = text.indexOf(':', at);
    const end = text.indexOf('\r\n', colon);
    if (KNOWN_LENGTHS.has(colon - at)) {
      const name = text.slice(at, colon).toLowerCase();
      if (KNOWN.has(name)) {
        const value = text.slice(colon + 1, end).trim();
        const known = fields[name as keyof Fields];
        if (known !== undefined && SINGLE.has(name)) throw new ProtocolError(`there are two ${name} fields`);
        fields[name as keyof Fields] = known === undefined ? value : `${known}, ${value}`;
      }
    }
    at = end + 2;
  }
  return fields;
}

function bodyFraming(status: number, isOld: boolean, fields: Fields): BodyFraming {
  const length = fields['content-length'];
  const coding = fields['transfer-encoding'];
  if (length !== undefined && !(/^[0-9]+$/.test(length) && Number.isSafeInteger(Number(length))))
    throw new ProtocolError('its content-length is no length');
  if (coding !== undefined) {
    if (length !== undefined) throw new ProtocolError('it has both a content-length and a transfer-encoding');
    if (isOld || coding.toLowerCase() !== 'chunked')
      throw new ProtocolError(`transfer-encoding ${JSON.stringify(coding)} is not understood`);
  }
  if (status < 200 || status === 204 || status === 304) return { form: 'length', sizeBytes: 0 };
  if (coding !== undefined) return { form: 'chunked' };
  return length === undefined ? { form: 'until-close' } : { form: 'length', sizeBytes: Number(length) };
}
