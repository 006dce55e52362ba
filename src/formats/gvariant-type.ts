/** GVariant type strings: definite types only, as they occur in stored data. Format: doc/formats/gvariant.md. */

import { FormatError, type Where } from '../errors.ts';

/**
 * Levels of nesting, of types and of values inside `v` together; GLib calls deeper values not normal
 * (127 variants inside each other pass, 128 do not). It also bounds our recursion.
 */
export const MAX_NESTING = 128;
/** Characters of one type string. ostree's longest has 60; without a limit a variant could carry megabytes of type. */
export const MAX_TYPE_CHARACTERS = 65_535;

export type BasicCode = 'b' | 'y' | 'n' | 'q' | 'i' | 'u' | 'h' | 'x' | 't' | 'd' | 's' | 'o' | 'g';

interface TypeShape {
  readonly signature: string;
  readonly alignment: 1 | 2 | 4 | 8;
  /** 0: the size varies from value to value. */
  readonly fixedBytes: number;
  /** 1 for a type without members. */
  readonly depth: number;
}
export interface BasicType extends TypeShape {
  readonly kind: 'basic';
  readonly code: BasicCode;
}
export interface VariantType extends TypeShape {
  readonly kind: 'variant';
}
export interface ElementType extends TypeShape {
  readonly kind: 'array' | 'maybe';
  readonly element: GvType;
}
/** A tuple or a dictionary entry; both are laid out alike. */
export interface TupleType extends TypeShape {
  readonly kind: 'tuple' | 'entry';
  readonly members: readonly GvType[];
  /** How many framing offsets a value has: its variable members except a last one. */
  readonly framedMembers: number;
}
export type GvType = BasicType | VariantType | ElementType | TupleType;

const basic = (code: BasicCode, alignment: 1 | 2 | 4 | 8, fixedBytes: number): BasicType => ({
  kind: 'basic',
  code,
  signature: code,
  alignment,
  fixedBytes,
  depth: 1,
});
const SIMPLE = new Map<string, GvType>([
  ...(['b', 'y'] as const).map((code) => [code, basic(code, 1, 1)] as const),
  ...(['n', 'q'] as const).map((code) => [code, basic(code, 2, 2)] as const),
  ...(['i', 'u', 'h'] as const).map((code) => [code, basic(code, 4, 4)] as const),
  ...(['x', 't', 'd'] as const).map((code) => [code, basic(code, 8, 8)] as const),
  ...(['s', 'o', 'g'] as const).map((code) => [code, basic(code, 1, 0)] as const),
  ['v', { kind: 'variant', signature: 'v', alignment: 8, fixedBytes: 0, depth: 1 }],
]);

export const alignUp = (offset: number, alignment: number): number =>
  offset + ((alignment - (offset % alignment)) % alignment);

function makeTuple(kind: 'tuple' | 'entry', members: readonly GvType[], signature: string): TupleType {
  let alignment: 1 | 2 | 4 | 8 = 1;
  let end = 0;
  let depth = 0;
  let variable = 0;
  for (const member of members) {
    if (member.alignment > alignment) alignment = member.alignment;
    if (member.fixedBytes === 0) variable++;
    end = alignUp(end, member.alignment) + member.fixedBytes;
    if (member.depth > depth) depth = member.depth;
  }
  const lastIsVariable = members.length > 0 && members[members.length - 1].fixedBytes === 0;
  return {
    kind,
    members,
    signature,
    alignment,
    depth: depth + 1,
    framedMembers: lastIsVariable ? variable - 1 : variable,
    fixedBytes: variable > 0 ? 0 : members.length === 0 ? 1 : alignUp(end, alignment), // `()` is one zero byte
  };
}

class TypeScanner {
  readonly #text: string;
  readonly #where: Where;
  #next = 0;

  constructor(text: string, where: Where) {
    this.#text = text;
    this.#where = where;
  }

  get atEnd(): boolean {
    return this.#next === this.#text.length;
  }

  scan(level: number): GvType {
    if (level > MAX_NESTING) this.#fail(`is nested more than ${MAX_NESTING} levels deep`);
    const start = this.#next;
    const character = this.#text[this.#next++];
    const simple = SIMPLE.get(character);
    if (simple !== undefined) return simple;
    switch (character) {
      case 'a':
      case 'm': {
        const element = this.scan(level + 1);
        const kind = character === 'a' ? 'array' : 'maybe';
        const signature = this.#text.slice(start, this.#next);
        return { kind, element, signature, alignment: element.alignment, fixedBytes: 0, depth: element.depth + 1 };
      }
      case '(': {
        const members: GvType[] = [];
        while (this.#text[this.#next] !== ')') members.push(this.scan(level + 1));
        this.#next++;
        return makeTuple('tuple', members, this.#text.slice(start, this.#next));
      }
      case '{': {
        const key = this.scan(level + 1);
        if (key.kind !== 'basic') this.#fail('has a dictionary key that is no basic type');
        const value = this.scan(level + 1);
        if (this.#text[this.#next++] !== '}') this.#fail('has a dictionary entry of other than two types');
        return makeTuple('entry', [key, value], this.#text.slice(start, this.#next));
      }
      default:
        return this.#fail(
          character === undefined ? 'ends too early' : `has ${JSON.stringify(character)} where a type belongs`,
        );
    }
  }

  #fail(problem: string): never {
    const shown = this.#text.length > 64 ? `${this.#text.slice(0, 64)}…` : this.#text;
    throw new FormatError(`type ${JSON.stringify(shown)} ${problem}`, this.#where);
  }
}

/** Types seen before. Only short ones, and not without end: what hostile data names must not stay. */
const cache = new Map<string, GvType>();
const MAX_CACHED_TYPES = 256;
const MAX_CACHED_CHARACTERS = 64;

/** @throws FormatError unless `signature` is exactly one complete definite type */
export function parseType(signature: string, where: Where = {}): GvType {
  const known = SIMPLE.get(signature) ?? cache.get(signature);
  if (known !== undefined) return known;
  if (signature.length > MAX_TYPE_CHARACTERS)
    throw new FormatError(`type of ${signature.length} characters, at most ${MAX_TYPE_CHARACTERS} are accepted`, where);
  const scanner = new TypeScanner(signature, where);
  const type = scanner.scan(1);
  if (!scanner.atEnd) throw new FormatError(`${JSON.stringify(signature.slice(0, 64))} is more than one type`, where);
  if (cache.size < MAX_CACHED_TYPES && signature.length <= MAX_CACHED_CHARACTERS) cache.set(signature, type);
  return type;
}

/** Whether `text` may be a value of type `g`: any number of complete types, without maybes (D-Bus has none). */
export function isSignature(text: string): boolean {
  if (text.length > MAX_TYPE_CHARACTERS || text.includes('m')) return false;
  try {
    const scanner = new TypeScanner(text, {});
    while (!scanner.atEnd) scanner.scan(1);
    return true;
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
}

const OBJECT_PATH = /^\/(?:[A-Za-z0-9_]+(?:\/[A-Za-z0-9_]+)*)?$/;
/** Whether `text` may be a value of type `o`: a D-Bus object path. */
export const isObjectPath = (text: string): boolean => OBJECT_PATH.test(text);
