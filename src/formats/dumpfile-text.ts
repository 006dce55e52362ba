/** Escapes of the dumpfile format: what stands for a byte that would break a line, a field or an xattr. */

import type { ByteString } from './byte-string.ts';

const SHORT_ESCAPES: Record<string, string> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };
const CHARACTER_OF_ESCAPE = new Map(Object.entries(SHORT_ESCAPES).map(([character, text]) => [text, character]));
const NEEDS_ESCAPE = /[^\x21-\x5b\x5d-\x7e]/;
const NEEDS_ESCAPE_IN_XATTR = /[^\x21-\x3c\x3e-\x5b\x5d-\x7e]/;
const ALL_ESCAPED = new RegExp(NEEDS_ESCAPE, 'g');
const ALL_ESCAPED_IN_XATTR = new RegExp(NEEDS_ESCAPE_IN_XATTR, 'g');

const escapeCharacter = (character: string): string =>
  SHORT_ESCAPES[character] ?? `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;

/** For paths, targets and content. */
export const escapeText = (text: ByteString): string =>
  NEEDS_ESCAPE.test(text) ? text.replace(ALL_ESCAPED, escapeCharacter) : text;

/** For xattr names and values, where `=` is escaped too. */
export const escapeXattr = (text: ByteString): string =>
  NEEDS_ESCAPE_IN_XATTR.test(text) ? text.replace(ALL_ESCAPED_IN_XATTR, escapeCharacter) : text;

/** For fields in which a lone dash means "not set". */
export const escapeOptional = (text: ByteString | undefined): string =>
  text === undefined ? '-' : text === '-' ? '\\x2d' : escapeText(text);

const ANY_ESCAPE = /\\(x[0-9a-fA-F]{2}|.?)/gs;

/**
 * The bytes that a field stands for.
 * @param fail called with what is wrong and the offset in `field`
 */
export function unescapeField(field: string, fail: (problem: string, offset: number) => never): ByteString {
  if (!field.includes('\\')) return field as ByteString;
  return field.replace(ANY_ESCAPE, (text: string, code: string, offset: number) => {
    const character = CHARACTER_OF_ESCAPE.get(text);
    if (character !== undefined) return character;
    if (code.length === 3) return String.fromCharCode(Number.parseInt(code.slice(1), 16));
    return fail(`unknown or incomplete escape ${JSON.stringify(field.slice(offset, offset + 4))}`, offset);
  }) as ByteString;
}
