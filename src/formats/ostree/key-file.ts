/** Key files, as GLib reads them: groups of `key=value` lines. Values stay as they are written until their type is known. */

import { FormatError, type Where } from '../../errors.ts';

/** Groups by name, each with its values by key. A repeated group adds to the first; of repeated keys the last one counts. */
export type KeyFile = Map<string, Map<string, string>>;

const GROUP = /^\[([^[\]\x00-\x1f\x7f]+)\][ \t]*$/;
/** The key may end in a locale: `key[de]`. */
const KEY = /^[^=[\]]+(?:\[[A-Za-z0-9_.@-]+\])?$/;

/** @throws FormatError with the line's number; `where.offset` counts UTF-16 units of `text` up to the line */
export function parseKeyFile(text: string, where: Where = {}): KeyFile {
  const groups: KeyFile = new Map();
  let group: Map<string, string> | undefined;
  let offset = 0;
  let lineNumber = 0;
  const lines = text.split('\n');
  for (const whole of lines) {
    const at = { ...where, field: `line ${++lineNumber}`, offset };
    offset += whole.length + 1;
    const line = whole.replace(/\r$/, '').replace(/^[ \t\n\f\r\v]+/, '');
    if (line === '' || line.startsWith('#')) continue;
    if (line.includes('\0')) throw new FormatError('NUL in a key file', at);
    if (line.startsWith('[')) {
      const name = GROUP.exec(line)?.[1];
      if (name === undefined)
        throw new FormatError('group name without its closing bracket, or with bad characters', at);
      group = groups.get(name) ?? new Map<string, string>();
      groups.set(name, group);
      continue;
    }
    const equals = line.indexOf('=');
    if (equals < 0) throw new FormatError('neither group, comment nor key=value', at);
    const key = line.slice(0, equals).replace(/[ \t]+$/, '');
    if (!KEY.test(key)) throw new FormatError(`${JSON.stringify(key.slice(0, 64))} is no key`, at);
    if (group === undefined) throw new FormatError('key before the first group', at);
    group.set(key, line.slice(equals + 1).replace(/^[ \t]+/, ''));
  }
  return groups;
}

const ESCAPES = new Map([
  ['s', ' '],
  ['n', '\n'],
  ['t', '\t'],
  ['r', '\r'],
  ['\\', '\\'],
]);

/** A value as string: its escapes `\s \n \t \r \\` undone. @throws FormatError on another escape */
export function stringValue(value: string, where: Where): string {
  return value.replace(/\\(.?)/gs, (_, code: string) => {
    const character = ESCAPES.get(code);
    if (character === undefined) throw new FormatError(`escape \\${code} does not exist`, where);
    return character;
  });
}

/** Exactly `true`, `false`, `1` or `0`, with white space behind it. @throws FormatError */
export function booleanValue(value: string, where: Where): boolean {
  const word = value.trimEnd();
  if (word === 'true' || word === '1') return true;
  if (word === 'false' || word === '0') return false;
  throw new FormatError(`${JSON.stringify(value)} is neither true nor false`, where);
}
