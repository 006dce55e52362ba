/**
 * Reads the composefs dump text format: one line per entry, eleven fields and xattrs, the root first, parents before
 * what they contain (doc/formats/dumpfile.md).
 */

import { FormatError, LimitError, type Where } from '../errors.ts';
import { type ByteString, byteStringFromBytes, byteStringToBytes } from './byte-string.ts';
import { DumpfileLinks, type LinePlace } from './dumpfile-links.ts';
import { unescapeField } from './dumpfile-text.ts';
import { MAX_EXTERNAL_BYTES, MAX_INLINE_BYTES, MAX_TARGET_BYTES, MAX_TREE_DEPTH, MAX_U32 } from './erofs/limits.ts';
import { nameProblem, payloadProblem, type TreeProblem, targetProblem, xattrsProblem } from './erofs/tree-check.ts';
import type { ObjectId } from './ids.ts';
import { type Directory, FileType, type Inode, type InodeMetadata, type Leaf, type Xattr } from './tree.ts';

/** The fixed fields of a line, in order, as errors name them. */
const FIELDS = [
  'PATH',
  'SIZE',
  'MODE',
  'NLINK',
  'UID',
  'GID',
  'RDEV',
  'MTIME',
  'PAYLOAD',
  'CONTENT',
  'DIGEST',
] as const;
type FieldName = (typeof FIELDS)[number];
/** A hardlink line may end after PAYLOAD. */
const HARDLINK_FIELDS = 9;
const TYPE_BITS = 0o170000;
const UNSET = '-';
const DIGITS = /^[0-9]{1,20}$/;
const OCTAL = /^[0-7]{1,7}$/;
const TIME = /^(-?[0-9]{1,20})\.([0-9]{1,20})$/;
const DIGEST = /^(?:[0-9a-fA-F]{64}|[0-9a-fA-F]{128})$/;
const NEWLINE = 0x0a;

/**
 * The tree that a dumpfile describes. Entries of one inode are one leaf object.
 * @throws FormatError or LimitError, naming the field and its offset in the file
 */
export function parseDumpfile(bytes: Uint8Array, where: Where = {}): Directory {
  const parser = new DumpfileParser(where);
  let line = 0;
  for (let start = 0; start < bytes.length; ) {
    const newline = bytes.indexOf(NEWLINE, start);
    const end = newline < 0 ? bytes.length : newline;
    parser.line(byteStringFromBytes(bytes.subarray(start, end)), { line: ++line, offset: start });
    start = end + 1;
  }
  return parser.finish();
}

class DumpfileParser {
  readonly #where: Where;
  readonly #links: DumpfileLinks;
  /** By path; the root's is empty. */
  readonly #directories = new Map<ByteString, Directory>();
  /** So that equal xattr names are one string. */
  readonly #xattrNames = new Map<ByteString, ByteString>();
  #place: LinePlace = { line: 0, offset: 0 };
  #text = '';
  /** Where the fields of the line start; the last one is where the xattrs do. */
  #starts: number[] = [];

  constructor(where: Where) {
    this.#where = { ...where, format: 'dumpfile' };
    this.#links = new DumpfileLinks(this.#directories, (problem, place) => this.#failAt('PAYLOAD', problem, place));
  }

  finish(): Directory {
    const root = this.#directories.get('' as ByteString);
    if (root === undefined)
      throw new FormatError('has no line for the root', { ...this.#where, field: 'PATH', offset: 0 });
    this.#links.resolve();
    return root;
  }

  line(text: ByteString, place: LinePlace): void {
    this.#place = place;
    this.#text = text;
    this.#cut();
    const mode = this.#raw('MODE');
    if (mode.startsWith('@')) this.#hardlink(this.#mode(mode.slice(1)));
    else this.#own(this.#mode(mode));
  }

  #own(mode: number): void {
    if (this.#starts.length <= FIELDS.length) this.#fail(FIELDS[this.#starts.length - 1], 'the line ends before it');
    const inode = this.#inode(mode);
    const path = this.#path();
    if (path === '/') {
      if (inode.kind !== 'directory') this.#fail('MODE', 'the root is not a directory');
      if (this.#directories.size > 0) this.#fail('PATH', 'a second root');
      this.#directories.set('' as ByteString, inode as Directory);
      return;
    }
    const { parent, name } = this.#entry(path);
    parent.entries.set(name, inode);
    if (inode.kind !== 'directory') return;
    if (path.split('/').length - 1 > MAX_TREE_DEPTH)
      this.#problem('PATH', { field: 'depth', problem: `more than ${MAX_TREE_DEPTH} directories deep`, isLimit: true });
    this.#directories.set(detach(path), inode);
  }

  #hardlink(mode: number): void {
    if (this.#starts.length <= HARDLINK_FIELDS) this.#fail(FIELDS[this.#starts.length - 1], 'the line ends before it');
    if ((mode & TYPE_BITS) === FileType.directory) this.#fail('MODE', 'a directory cannot have two names');
    const target = this.#optional('PAYLOAD');
    if (target === undefined || target === '') this.#fail('PAYLOAD', 'a hardlink needs a target');
    const { parent, name } = this.#entry(this.#path());
    const place = { line: this.#place.line, offset: this.#place.offset + this.#start('PAYLOAD') };
    this.#links.add({ parent, name, path: detach(this.#path()), target: detach(target as ByteString), place });
  }

  /** Splits at single spaces, as far as the fixed fields go. */
  #cut(): void {
    const text = this.#text;
    this.#starts = [0];
    if (text === '') this.#fail('PATH', 'an empty line');
    if (text.endsWith('\r')) this.#fail('PATH', 'the line ends in a carriage return');
    const nul = text.indexOf('\0');
    if (nul >= 0) this.#failHere('PATH', 'a zero byte', nul);
    for (let space = text.indexOf(' '); space >= 0 && this.#starts.length <= FIELDS.length; ) {
      this.#starts.push(space + 1);
      space = text.indexOf(' ', space + 1);
    }
    if (this.#starts.length <= FIELDS.length) this.#starts.push(text.length + 1); // the end of the last field
    if (this.#starts.length <= FIELDS.indexOf('MODE') + 1) this.#fail('MODE', 'the line ends before it');
  }

  #start(field: FieldName): number {
    return this.#starts[FIELDS.indexOf(field)];
  }

  #raw(field: FieldName): string {
    const index = FIELDS.indexOf(field);
    return this.#text.slice(this.#starts[index], this.#starts[index + 1] - 1);
  }

  #unescaped(field: FieldName): ByteString {
    return unescapeField(this.#raw(field), (problem, offset) =>
      this.#failHere(field, problem, this.#start(field) + offset),
    );
  }

  #optional(field: FieldName): ByteString | undefined {
    return this.#raw(field) === UNSET ? undefined : this.#unescaped(field);
  }

  #number(field: FieldName, max: number): number {
    const text = this.#raw(field);
    if (!/^[0-9]+$/.test(text)) this.#fail(field, `${JSON.stringify(text)} is not a decimal number`);
    // doubles above 2^53 are not exact
    if (!DIGITS.test(text) || BigInt(text) > BigInt(max))
      this.#problem(field, { field, problem: `${text} is above ${max}`, isLimit: true });
    return Number(text);
  }

  #mode(text: string): number {
    const mode = OCTAL.test(text) ? Number.parseInt(text, 8) : Number.NaN;
    if (!KIND_OF_TYPE.has(mode & TYPE_BITS) || mode > 0o177777)
      this.#fail('MODE', `${JSON.stringify(text)} is not an octal mode with a file type`);
    return mode;
  }

  #path(): ByteString {
    const path = this.#unescaped('PATH');
    if (!path.startsWith('/')) this.#fail('PATH', 'is not absolute');
    return path;
  }

  /** Where an entry belongs. */
  #entry(path: ByteString): { parent: Directory; name: ByteString } {
    const slash = path.lastIndexOf('/');
    const name = detach(path.slice(slash + 1) as ByteString);
    this.#problem('PATH', nameProblem(name));
    if (this.#directories.size === 0) this.#fail('PATH', 'the first line is not that of the root');
    const parent = this.#directories.get(path.slice(0, slash) as ByteString);
    if (parent === undefined) this.#fail('PATH', 'the parent directory has no line before this one');
    if (parent?.entries.has(name)) this.#fail('PATH', 'this path has a line already');
    return { parent: parent as Directory, name };
  }

  #inode(mode: number): Inode {
    const kind = KIND_OF_TYPE.get(mode & TYPE_BITS) as Inode['kind'];
    const metadata: InodeMetadata = {
      permissions: mode & 0o7777,
      uid: this.#number('UID', MAX_U32),
      gid: this.#number('GID', MAX_U32),
      ...this.#mtime(),
      xattrs: this.#xattrs(),
    };
    const nlink = this.#number('NLINK', MAX_U32);
    const sizeBytes = this.#number('SIZE', kind === 'file' ? MAX_EXTERNAL_BYTES : MAX_U32);
    const rdev = this.#number('RDEV', MAX_U32);
    const isDevice = kind === 'character' || kind === 'block';
    if (rdev !== 0 && !isDevice) this.#fail('RDEV', 'only devices have one');
    if (kind !== 'file') this.#mustBeUnset('CONTENT', 'DIGEST');
    if (kind !== 'file' && kind !== 'symlink') this.#mustBeUnset('PAYLOAD');
    if (kind === 'directory') return { kind, ...metadata, entries: new Map() };
    // entries are counted when all of them are known; one is what a file has unless somebody links to it
    const leaf: InodeMetadata & { nlink?: number } = nlink === 1 ? metadata : { ...metadata, nlink };
    if (kind === 'file') return this.#file(leaf, sizeBytes);
    if (kind === 'symlink') {
      const target = this.#optional('PAYLOAD') ?? ('' as ByteString);
      this.#problem('PAYLOAD', targetProblem(target, MAX_TARGET_BYTES));
      return { kind, ...leaf, target: detach(target) };
    }
    if (isDevice) return { kind, ...leaf, rdev };
    return { kind: kind as 'fifo' | 'socket', ...leaf };
  }

  #file(metadata: InodeMetadata & { nlink?: number }, sizeBytes: number): Leaf {
    const content = this.#optional('CONTENT');
    const payload = this.#optional('PAYLOAD');
    const digest = this.#raw('DIGEST');
    if (digest !== UNSET && !DIGEST.test(digest)) this.#fail('DIGEST', 'is not 64 or 128 hex digits');
    if (payload !== undefined) this.#problem('PAYLOAD', payloadProblem(payload));
    if (content !== undefined && content !== '') {
      this.#mustBeUnset('PAYLOAD', 'DIGEST');
      if (content.length !== sizeBytes) this.#fail('CONTENT', `has ${content.length} bytes, SIZE says ${sizeBytes}`);
      if (content.length > MAX_INLINE_BYTES)
        this.#problem('CONTENT', { field: 'content', problem: `more than ${MAX_INLINE_BYTES} bytes`, isLimit: true });
      return { kind: 'file', ...metadata, content: byteStringToBytes(content) };
    }
    if (sizeBytes === 0) return { kind: 'file', ...metadata, content: new Uint8Array(0) };
    if (content !== undefined) this.#fail('CONTENT', `is empty, SIZE says ${sizeBytes}`);
    return {
      kind: 'external',
      ...metadata,
      sizeBytes,
      ...(payload === undefined ? {} : { payload: detach(payload) }),
      ...(digest === UNSET ? {} : { digest: detach(digest.toLowerCase() as ByteString) as string as ObjectId }),
    };
  }

  #mtime(): { mtimeSeconds: bigint; mtimeNanoseconds: number } {
    const text = this.#raw('MTIME');
    const match = TIME.exec(text);
    if (match === null) this.#fail('MTIME', `${JSON.stringify(text)} is not seconds.nanoseconds`);
    const [, seconds, nanoseconds] = match as RegExpExecArray;
    const mtimeSeconds = BigInt(seconds);
    if (BigInt.asIntN(64, mtimeSeconds) !== mtimeSeconds) this.#fail('MTIME', 'seconds do not fit in 64 bits');
    if (Number(nanoseconds) >= 1e9) this.#fail('MTIME', 'nanoseconds are below 10^9');
    return { mtimeSeconds, mtimeNanoseconds: Number(nanoseconds) };
  }

  #xattrs(): Xattr[] {
    let start = this.#starts[FIELDS.length];
    if (start > this.#text.length) return [];
    const values = new Map<ByteString, Uint8Array>(); // a later value replaces an earlier one
    const unescaped = (text: string, at: number): ByteString =>
      unescapeField(text, (problem, offset) => this.#failHere('xattr', problem, at + offset));
    for (const field of this.#text.slice(start).split(' ')) {
      const equals = field.indexOf('=');
      if (equals < 0) this.#failHere('xattr', `${JSON.stringify(field.slice(0, 40))} has no =`, start);
      const name = unescaped(field.slice(0, equals), start);
      const value = unescaped(field.slice(equals + 1), start + equals + 1);
      values.set(this.#xattrName(name), byteStringToBytes(value));
      start += field.length + 1;
    }
    const xattrs = Array.from(values, ([name, value]) => ({ name, value }));
    const problem = xattrsProblem(xattrs, true);
    if (problem !== undefined) this.#failHere('xattr', problem, this.#starts[FIELDS.length]);
    return xattrs;
  }

  #xattrName(name: ByteString): ByteString {
    const known = this.#xattrNames.get(name);
    if (known !== undefined) return known;
    const kept = detach(name);
    this.#xattrNames.set(kept, kept);
    return kept;
  }

  #mustBeUnset(...fields: FieldName[]): void {
    for (const field of fields)
      if (this.#raw(field) !== UNSET) this.#fail(field, 'does not belong to an entry of this kind');
  }

  #problem(field: FieldName, problem: TreeProblem | undefined): void {
    if (problem !== undefined) this.#failHere(field, problem, this.#start(field));
  }
  #fail(field: FieldName, problem: string): never {
    return this.#failHere(field, problem, Math.min(this.#start(field) ?? Infinity, this.#text.length));
  }
  /** @param offset in the line */
  #failHere(field: string, problem: string | TreeProblem, offset: number): never {
    const { line, offset: lineOffset } = this.#place;
    const full = typeof problem === 'string' ? problem : `${problem.field} ${problem.problem}`;
    const isLimit = typeof problem === 'string' ? undefined : problem.isLimit;
    return this.#failAt(field, full, { line, offset: lineOffset + offset }, isLimit);
  }
  #failAt(field: string, problem: string, { line, offset }: LinePlace, isLimit?: boolean): never {
    throw new (isLimit ? LimitError : FormatError)(`line ${line}: ${problem}`, { ...this.#where, field, offset });
  }
}

const KIND_OF_TYPE = new Map<number, Inode['kind']>([
  [FileType.directory, 'directory'],
  [FileType.file, 'file'],
  [FileType.symlink, 'symlink'],
  [FileType.character, 'character'],
  [FileType.block, 'block'],
  [FileType.fifo, 'fifo'],
  [FileType.socket, 'socket'],
]);

/** A copy that does not keep the line it was cut from alive. */
const detach = (text: ByteString): ByteString => byteStringFromBytes(byteStringToBytes(text));
