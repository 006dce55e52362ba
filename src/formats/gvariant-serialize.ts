/** Values to GVariant bytes, in normal form. */

import { ByteWriter } from './byte-writer.ts';
import { smallestOffsetWidth, writeOffset } from './gvariant-framing.ts';
import {
  alignUp,
  type BasicType,
  type ElementType,
  type GvType,
  isObjectPath,
  isSignature,
  parseType,
  type TupleType,
} from './gvariant-type.ts';
import { type Endian, type GvValue, type GvVariant, INTEGER_RANGE } from './gvariant-value.ts';

const encoder = new TextEncoder();

/**
 * @param endian byte order of numbers
 * @throws TypeError when the value is not one of that type: a mistake of the caller
 */
export function serializeVariant(type: GvType, value: GvValue, endian: Endian = 'le'): Uint8Array {
  const writer = new ByteWriter();
  writeValue({ writer, littleEndian: endian === 'le' }, type, value);
  return writer.finish();
}

interface Target {
  writer: ByteWriter;
  littleEndian: boolean;
}

/** The writer stands at the aligned start of the value. */
function writeValue(target: Target, type: GvType, value: GvValue): void {
  switch (type.kind) {
    case 'basic':
      if (type.fixedBytes === 0) writeText(target, type, value);
      else writeNumber(target, type, value);
      break;
    case 'array':
      writeArray(target, type, value);
      break;
    case 'tuple':
    case 'entry':
      writeTuple(target, type, value);
      break;
    case 'maybe':
      if (value !== null) writeJust(target, type, value);
      break;
    case 'variant':
      writeVariant(target, type, value);
  }
}

function writeNumber({ writer, littleEndian }: Target, type: BasicType, value: GvValue): void {
  const { code, fixedBytes } = type;
  const at = writer.zeros(fixedBytes);
  const { view } = writer;
  if (code === 'b') {
    if (typeof value !== 'boolean') refuse(type, value);
    view.setUint8(at, value ? 1 : 0);
  } else if (code === 'd') {
    if (typeof value !== 'number') refuse(type, value);
    view.setFloat64(at, value, littleEndian);
  } else if (code === 'x' || code === 't') {
    if (typeof value !== 'bigint') refuse(type, value);
    if ((code === 'x' ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value)) !== value) refuse(type, value);
    view.setBigUint64(at, BigInt.asUintN(64, value), littleEndian);
  } else {
    const [smallest, largest] = INTEGER_RANGE[code as keyof typeof INTEGER_RANGE];
    if (typeof value !== 'number' || !Number.isInteger(value) || value < smallest || value > largest)
      refuse(type, value);
    if (fixedBytes === 1) view.setUint8(at, value);
    else if (fixedBytes === 2) view.setUint16(at, value, littleEndian);
    else view.setUint32(at, value, littleEndian);
  }
}

function writeText({ writer }: Target, type: BasicType, value: GvValue): void {
  if (typeof value !== 'string' || value.includes('\0') || !value.isWellFormed()) refuse(type, value);
  if (type.code === 'o' && !isObjectPath(value)) refuse(type, value);
  if (type.code === 'g' && !isSignature(value)) refuse(type, value);
  writer.append(encoder.encode(value));
  writer.zeros(1);
}

function writeArray(target: Target, type: ElementType, value: GvValue): void {
  const { writer } = target;
  const { element } = type;
  if (element.signature === 'y') {
    if (!(value instanceof Uint8Array)) refuse(type, value);
    writer.append(value);
    return;
  }
  if (!Array.isArray(value)) refuse(type, value);
  const start = writer.length;
  const ends: number[] = [];
  for (const item of value) {
    align(writer, start, element);
    writeValue(target, element, item);
    if (element.fixedBytes === 0) ends.push(writer.length - start);
  }
  appendOffsets(writer, start, ends);
}

function writeTuple(target: Target, type: TupleType, value: GvValue): void {
  const { writer } = target;
  const { members } = type;
  if (!Array.isArray(value) || value.length !== members.length) refuse(type, value);
  const start = writer.length;
  const ends: number[] = [];
  for (let i = 0; i < members.length; i++) {
    align(writer, start, members[i]);
    writeValue(target, members[i], value[i]);
    if (members[i].fixedBytes === 0 && i < members.length - 1) ends.push(writer.length - start);
  }
  if (type.fixedBytes !== 0) writer.zeros(type.fixedBytes - (writer.length - start));
  else appendOffsets(writer, start, ends.reverse());
}

function writeVariant(target: Target, type: GvType, value: GvValue): void {
  if (!isVariant(value)) refuse(type, value);
  writeValue(target, parseType(value.type), value.value);
  target.writer.zeros(1);
  target.writer.append(encoder.encode(value.type));
}

function writeJust(target: Target, type: ElementType, value: GvValue): void {
  const { element } = type;
  if (element.kind === 'maybe' && !(Array.isArray(value) && value.length === 1)) refuse(type, value);
  writeValue(target, element, element.kind === 'maybe' ? (value as GvValue[])[0] : value);
  if (element.fixedBytes === 0) target.writer.zeros(1);
}

const isVariant = (value: GvValue): value is GvVariant =>
  typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';

function align(writer: ByteWriter, start: number, type: GvType): void {
  if (type.alignment > 1) writer.zeros(start + alignUp(writer.length - start, type.alignment) - writer.length);
}

function appendOffsets(writer: ByteWriter, start: number, offsets: number[]): void {
  if (offsets.length === 0) return;
  const width = smallestOffsetWidth(writer.length - start, offsets.length);
  let at = writer.zeros(width * offsets.length);
  for (const offset of offsets) {
    writeOffset(writer.bytes, at, width, offset);
    at += width;
  }
}

function refuse(type: GvType, value: GvValue): never {
  throw new TypeError(`${describe(value)} is no value of GVariant type ${type.signature}`);
}

function describe(value: GvValue): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 64));
  return typeof value === 'object' ? Object.prototype.toString.call(value) : String(value);
}
