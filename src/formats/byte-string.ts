/**
 * Names, xattr names and link targets are bytes, not text. A ByteString holds one byte per character (U+0000–U+00FF), so that
 * `<`, `===`, Map keys and sort() work in byte order without copies. Convert at the edges only.
 */

export type ByteString = string & { readonly __brand: 'ByteString' };

const CHUNK = 8192; // String.fromCharCode takes its input as arguments, which live on the stack

export function byteStringFromBytes(bytes: Uint8Array): ByteString {
  if (bytes.length <= CHUNK) return String.fromCharCode.apply(null, bytes as unknown as number[]) as ByteString;
  let text = '';
  for (let at = 0; at < bytes.length; at += CHUNK)
    text += String.fromCharCode.apply(null, bytes.subarray(at, at + CHUNK) as unknown as number[]);
  return text as ByteString;
}

export function byteStringToBytes(text: ByteString): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

const NOT_ASCII = /[^\x00-\x7f]/;
const encoder = new TextEncoder();
const lossyDecoder = new TextDecoder('utf-8', { ignoreBOM: true });
const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** From ordinary text, as UTF-8. */
export const byteStringFromText = (text: string): ByteString =>
  NOT_ASCII.test(text) ? byteStringFromBytes(encoder.encode(text)) : (text as ByteString);

/** For display: bytes that are not UTF-8 become U+FFFD. */
export const byteStringToText = (bytes: ByteString): string =>
  NOT_ASCII.test(bytes) ? lossyDecoder.decode(byteStringToBytes(bytes)) : bytes;

/** Whether the bytes are UTF-8 (no surrogates, no overlong forms). */
export function isUtf8(bytes: ByteString): boolean {
  if (!NOT_ASCII.test(bytes)) return true;
  try {
    strictDecoder.decode(byteStringToBytes(bytes));
    return true;
  } catch {
    return false;
  }
}

/** Unsigned byte order, a proper prefix first; the order of ostree, EROFS and dumpfiles. */
export const compareByteStrings = (a: ByteString, b: ByteString): number => (a < b ? -1 : a > b ? 1 : 0);
