/**
 * JSON (RFC 8259) without what `JSON.parse` lets pass: duplicate keys, nesting without limit, bytes that are not UTF-8, and numbers
 * whose spelling is lost. For small files that decide what we may do.
 */

import { FormatError, LimitError, type Where } from '../errors.ts';

/** Arrays and objects in each other. */
export const MAX_JSON_DEPTH = 64;

/** A number keeps its text: `1`, `1.0` and `1e0` are not the same to every reader. */
export interface JsonNumber {
  number: string;
}
export type JsonObject = Map<string, JsonValue>;
export type JsonValue = null | boolean | string | JsonNumber | JsonValue[] | JsonObject;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const SPACE = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
/** Up to the closing quote, escapes whole; control characters must be escaped. */
const STRING = /"((?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*)"/y;
const ESCAPE = /\\(?:u([0-9a-fA-F]{4})|(.))/g;
const ESCAPED: Record<string, string> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };
const WORDS = { null: null, true: true, false: false } as const;

/** @throws FormatError with the offset in UTF-16 units, which for ASCII are bytes; LimitError for deep nesting */
export function parseStrictJson(bytes: Uint8Array, where: Where): JsonValue {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch (error) {
    throw new FormatError('is not UTF-8', { ...where, format: 'JSON' }, { cause: error });
  }
  return new JsonParser(text, where).parse();
}

class JsonParser {
  readonly #text: string;
  readonly #where: Where;
  #at = 0;

  constructor(text: string, where: Where) {
    this.#text = text;
    this.#where = { ...where, format: 'JSON' };
  }

  parse(): JsonValue {
    const value = this.#value(0);
    this.#match(SPACE);
    if (this.#at < this.#text.length) this.#fail('data after the value');
    return value;
  }

  #value(depth: number): JsonValue {
    if (depth > MAX_JSON_DEPTH)
      throw new LimitError(`nested more than ${MAX_JSON_DEPTH} deep`, { ...this.#where, offset: this.#at });
    this.#match(SPACE);
    switch (this.#text[this.#at]) {
      case '{':
        return this.#object(depth);
      case '[':
        return this.#array(depth);
      case '"':
        return this.#string();
    }
    for (const [word, value] of Object.entries(WORDS)) {
      if (!this.#text.startsWith(word, this.#at)) continue;
      this.#at += word.length;
      return value;
    }
    return { number: this.#match(NUMBER)?.[0] ?? this.#fail('a value is missing') };
  }

  #object(depth: number): JsonObject {
    const object: JsonObject = new Map();
    this.#sequence('}', () => {
      this.#match(SPACE);
      const key = this.#string();
      if (object.has(key)) this.#fail(`key ${JSON.stringify(key)} is there twice`);
      this.#expect(':');
      object.set(key, this.#value(depth + 1));
    });
    return object;
  }

  #array(depth: number): JsonValue[] {
    const array: JsonValue[] = [];
    this.#sequence(']', () => array.push(this.#value(depth + 1)));
    return array;
  }

  /** From the opening bracket to the closing one, `item` for each that is separated by commas. */
  #sequence(close: string, item: () => void): void {
    this.#at++;
    this.#match(SPACE);
    if (this.#text[this.#at] === close) {
      this.#at++;
      return;
    }
    for (;;) {
      item();
      this.#match(SPACE);
      if (this.#text[this.#at] === close) break;
      this.#expect(',');
    }
    this.#at++;
  }

  #string(): string {
    const raw = this.#match(STRING)?.[1] ?? this.#fail('a string is missing or damaged');
    const text = raw.replace(ESCAPE, (_, unit: string | undefined, letter: string) =>
      unit === undefined ? (ESCAPED[letter] ?? letter) : String.fromCharCode(Number.parseInt(unit, 16)),
    );
    return text.isWellFormed() ? text : this.#fail('a surrogate stands alone');
  }

  #expect(character: string): void {
    this.#match(SPACE);
    if (this.#text[this.#at] !== character) this.#fail(`${JSON.stringify(character)} is missing`);
    this.#at++;
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match !== null) this.#at = pattern.lastIndex;
    return match;
  }

  #fail(problem: string): never {
    throw new FormatError(problem, { ...this.#where, offset: this.#at });
  }
}
