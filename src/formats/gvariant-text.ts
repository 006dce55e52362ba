/** Text inside GVariant data: UTF-8, checked over the bytes where they lie. */

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Whether bytes[start, end) are UTF-8 (no surrogates, no overlong forms). */
export function isUtf8Range(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (bytes[at] >= 0x80) return decodeUtf8(bytes, at, end) !== undefined;
  return true;
}

/** undefined: not UTF-8. A byte order mark stays, because the bytes must come back from the text. */
export function decodeUtf8(bytes: Uint8Array, start: number, end: number): string | undefined {
  try {
    return decoder.decode(bytes.subarray(start, end));
  } catch {
    return undefined;
  }
}
