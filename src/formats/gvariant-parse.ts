/** GVariant bytes to values. Only normal form is accepted: what a correct writer would have written for the value, byte for byte. */

import { FormatError, LimitError, type Where } from '../errors.ts';
import { byteStringFromBytes } from './byte-string.ts';
import { type OffsetWidth, offsetWidth, readOffset, smallestOffsetWidth } from './gvariant-framing.ts';
import { decodeUtf8 } from './gvariant-text.ts';
import {
  alignUp,
  type BasicType,
  type ElementType,
  type GvType,
  isObjectPath,
  isSignature,
  MAX_NESTING,
  MAX_TYPE_CHARACTERS,
  parseType,
  type TupleType,
} from './gvariant-type.ts';
import type { Endian, GvValue, GvVariant } from './gvariant-value.ts';

/**
 * Values that one parse may make, containers included: some 200 MB of JavaScript objects at the worst. A few bytes can stand for an
 * empty array each, so the size of the input is no bound on memory. The `ostree.sizes` of a commit has one value per object.
 */
export const MAX_VALUES = 1_000_000;

export interface ParseOptions {
  /** Byte order of numbers; framing offsets are little-endian always. Default: 'le'. */
  endian?: Endian;
  where?: Where;
  /** Names of the members of an outermost tuple, for errors. */
  memberNames?: readonly string[];
}

/**
 * @returns the value; byte arrays are views of `bytes`
 * @throws FormatError unless `bytes` as a whole are one value in normal form; LimitError above MAX_VALUES
 */
export function parseVariant(type: GvType, bytes: Uint8Array, options: ParseOptions = {}): GvValue {
  return new Parser(bytes, options).parseWhole(type, options.memberNames);
}

/** @throws LimitError above MAX_VALUES */
export function isNormalForm(type: GvType, bytes: Uint8Array, endian: Endian = 'le'): boolean {
  try {
    parseVariant(type, bytes, { endian });
    return true;
  } catch (error) {
    if (error instanceof FormatError && !(error instanceof LimitError)) return false;
    throw error;
  }
}

class Parser {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #littleEndian: boolean;
  readonly #where: Where;
  #values = 0;
  #memberNames: readonly string[] | undefined;
  #field: string;

  constructor(bytes: Uint8Array, { endian = 'le', where = {} }: ParseOptions) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#littleEndian = endian === 'le';
    this.#where = where;
    this.#field = where.field ?? 'value';
  }

  parseWhole(type: GvType, memberNames: readonly string[] | undefined): GvValue {
    this.#memberNames = memberNames;
    return this.#value(type, 0, this.#bytes.length, 0);
  }

  /** `depth` counts containers and variants around this value. */
  #value(type: GvType, start: number, end: number, depth: number): GvValue {
    if (++this.#values > MAX_VALUES)
      throw new LimitError(`more than ${MAX_VALUES} values`, { ...this.#where, field: this.#field, offset: start });
    if (type.fixedBytes !== 0 && end - start !== type.fixedBytes)
      this.#fail(start, `${type.signature} needs ${type.fixedBytes} bytes, has ${end - start}`);
    switch (type.kind) {
      case 'basic':
        return type.fixedBytes === 0 ? this.#text(type, start, end) : this.#number(type, start);
      case 'array':
        return this.#array(type, start, end, depth);
      case 'tuple':
      case 'entry':
        return this.#tuple(type, start, end, depth);
      case 'maybe':
        return this.#maybe(type, start, end, depth);
      case 'variant':
        return this.#variant(start, end, depth);
    }
  }

  #number(type: BasicType, at: number): boolean | number | bigint {
    switch (type.code) {
      case 'b':
        if (this.#bytes[at] > 1) this.#fail(at, `boolean of value ${this.#bytes[at]}`);
        return this.#bytes[at] === 1;
      case 'y':
        return this.#bytes[at];
      case 'n':
        return this.#view.getInt16(at, this.#littleEndian);
      case 'q':
        return this.#view.getUint16(at, this.#littleEndian);
      case 'u':
        return this.#view.getUint32(at, this.#littleEndian);
      case 'x':
        return this.#view.getBigInt64(at, this.#littleEndian);
      case 't':
        return this.#view.getBigUint64(at, this.#littleEndian);
      case 'd':
        return this.#view.getFloat64(at, this.#littleEndian);
      default: // i, h
        return this.#view.getInt32(at, this.#littleEndian);
    }
  }

  #text(type: BasicType, start: number, end: number): string {
    if (end === start || this.#bytes[end - 1] !== 0) this.#fail(start, 'string without a NUL at its end');
    const nul = this.#bytes.indexOf(0, start);
    if (nul !== end - 1) this.#fail(nul, 'NUL inside a string');
    const text = decodeUtf8(this.#bytes, start, end - 1);
    if (text === undefined) return this.#fail(start, 'string that is not UTF-8');
    if (type.code === 'o' && !isObjectPath(text)) this.#fail(start, `${JSON.stringify(text)} is no object path`);
    if (type.code === 'g' && !isSignature(text)) this.#fail(start, `${JSON.stringify(text)} is no signature`);
    return text;
  }

  #array({ element }: ElementType, start: number, end: number, depth: number): GvValue {
    if (element.signature === 'y') return this.#bytes.subarray(start, end);
    const values: GvValue[] = [];
    const size = end - start;
    if (size === 0) return values;
    if (element.fixedBytes !== 0) {
      if (size % element.fixedBytes !== 0)
        this.#fail(start, `array of ${size} bytes is no multiple of its elements' ${element.fixedBytes}`);
      for (let at = start; at < end; at += element.fixedBytes)
        values.push(this.#value(element, at, at + element.fixedBytes, depth + 1));
      return values;
    }
    const width = offsetWidth(size);
    const body = size < width ? size + 1 : readOffset(this.#bytes, end - width, width);
    if (body > size - width || (size - body) % width !== 0)
      this.#fail(end - width, `array of ${size} bytes whose last element ends at ${body}`);
    const count = (size - body) / width;
    this.#requireSmallest(width, body, count, start + body);
    const table = start + body;
    let at = start;
    for (let i = 0; i < count; i++) {
      const elementStart = this.#skipPadding(start, at, element.alignment, table);
      const entry = table + i * width;
      at = this.#memberEnd(start, elementStart, table, readOffset(this.#bytes, entry, width), entry);
      values.push(this.#value(element, elementStart, at, depth + 1));
    }
    return values; // the last offset is where the table starts, so nothing lies between
  }

  #tuple(type: TupleType, start: number, end: number, depth: number): GvValue[] {
    const { members, framedMembers } = type;
    const width = offsetWidth(end - start);
    const bodyEnd = end - framedMembers * width;
    if (bodyEnd < start)
      this.#fail(start, `${type.signature} of ${end - start} bytes has no room for its framing offsets`);
    if (framedMembers > 0) this.#requireSmallest(width, bodyEnd - start, framedMembers, bodyEnd);
    const names = depth === 0 ? this.#memberNames : undefined;
    const values: GvValue[] = [];
    let at = start;
    let framed = 0;
    for (let i = 0; i < members.length; i++) {
      if (names !== undefined) this.#field = names[i];
      const member = members[i];
      const memberStart = this.#skipPadding(start, at, member.alignment, bodyEnd);
      if (member.fixedBytes !== 0) {
        at = memberStart + member.fixedBytes;
        if (at > bodyEnd)
          this.#fail(
            memberStart,
            `${member.signature} needs ${member.fixedBytes} bytes, ${bodyEnd - memberStart} left`,
          );
      } else if (i === members.length - 1) {
        at = bodyEnd;
      } else {
        const entry = end - ++framed * width;
        at = this.#memberEnd(start, memberStart, bodyEnd, readOffset(this.#bytes, entry, width), entry);
      }
      values.push(this.#value(member, memberStart, at, depth + 1));
    }
    if (type.fixedBytes !== 0) this.#requireZeros(at, end);
    else if (at !== bodyEnd) this.#fail(at, `${bodyEnd - at} bytes between the last member and the framing offsets`);
    return values;
  }

  #maybe({ element }: ElementType, start: number, end: number, depth: number): GvValue {
    if (start === end) return null;
    if (element.fixedBytes !== 0) return this.#value(element, start, end, depth + 1);
    if (this.#bytes[end - 1] !== 0) this.#fail(end - 1, 'maybe without a zero byte at its end');
    const value = this.#value(element, start, end - 1, depth + 1);
    return element.kind === 'maybe' ? [value] : value;
  }

  #variant(start: number, end: number, depth: number): GvVariant {
    const earliest = Math.max(start, end - 1 - MAX_TYPE_CHARACTERS);
    let nul = end - 1;
    while (nul >= earliest && this.#bytes[nul] !== 0) nul--;
    if (nul < earliest) this.#fail(start, 'variant without a type');
    const at = { ...this.#where, field: this.#field, offset: nul + 1 };
    const type = parseType(byteStringFromBytes(this.#bytes.subarray(nul + 1, end)), at);
    if (type.depth > MAX_NESTING - 1 - depth) throw new FormatError(`nested more than ${MAX_NESTING} levels deep`, at);
    return { type: type.signature, value: this.#value(type, start, nul, depth + 1) };
  }

  /** Offsets are relative to the container's start, which is aligned at least as its members are. */
  #skipPadding(containerStart: number, at: number, alignment: number, limit: number): number {
    if (alignment === 1) return at;
    const aligned = containerStart + alignUp(at - containerStart, alignment);
    if (aligned > limit) this.#fail(at, 'the padding of a member does not fit');
    this.#requireZeros(at, aligned);
    return aligned;
  }

  #requireZeros(start: number, end: number): void {
    for (let at = start; at < end; at++) if (this.#bytes[at] !== 0) this.#fail(at, 'padding that is not zero');
  }

  #memberEnd(containerStart: number, memberStart: number, limit: number, offset: number, entry: number): number {
    const end = containerStart + offset;
    if (end < memberStart || end > limit)
      this.#fail(
        entry,
        `framing offset ${offset} lies outside [${memberStart - containerStart}, ${limit - containerStart}]`,
      );
    return end;
  }

  #requireSmallest(width: OffsetWidth, bodyBytes: number, count: number, at: number): void {
    if (smallestOffsetWidth(bodyBytes, count) !== width)
      this.#fail(at, 'framing offsets are wider than they need to be');
  }

  #fail(offset: number, problem: string): never {
    throw new FormatError(problem, { ...this.#where, field: this.#field, offset });
  }
}
