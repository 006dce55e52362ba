/** What a fuzz run feeds: names and lists of names, as repositories and servers have them. Anything but a CfsError thrown is a failure. */

import { parseType, serializeVariant } from '../../src/formats/gvariant.ts';
import { fromHex, isChecksum } from '../../src/formats/ids.ts';
import { parseLocation } from '../../src/sources/location.ts';
import { parseSummaryRefs } from '../../src/sources/summary.ts';
import { nameOfRefTarget, objectOfTarget, objectTarget, refTarget } from '../../src/store/link-targets.ts';
import { checkFirstLevelName, checkRefPath } from '../../src/store/names.ts';
import {
  decodeRefName,
  encodeRefName,
  ostreeRefOfPath,
  ostreeRefPath,
  parseStreamName,
} from '../../src/store/ostree-refs.ts';
import type { FuzzTarget } from './target.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array): string => new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
const SUMMARY = parseType('(a(s(taya{sv}))a{sv})');
const ID = 'ab'.repeat(32);

const summary = (refs: Array<[name: string, checksum: string]>): Uint8Array =>
  serializeVariant(SUMMARY, [
    refs.map(([name, checksum]) => [
      name,
      [291n, fromHex(checksum), [['ostree.commit.timestamp', { type: 't', value: 5n }]]],
    ]),
    [['ostree.summary.mode', { type: 's', value: 'archive-z2' }]],
  ]);

function require(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}

export const targets: FuzzTarget[] = [
  {
    name: 'summary',
    parse(bytes) {
      const refs = parseSummaryRefs(bytes, {});
      for (const [name, checksum] of refs)
        require(name !== '' && isChecksum(checksum), 'a ref without a name or commit');
    },
    seeds: [
      summary([]),
      summary([['a', ID]]),
      summary([
        ['a/é', ID],
        ['b', 'cd'.repeat(32)],
        ['b', 'cd'],
        ['../c', ID],
      ]),
    ],
  },
  {
    name: 'link-text',
    parse(bytes) {
      const text = decode(bytes);
      for (const algorithm of ['sha256', 'sha512'] as const) {
        const id = objectOfTarget(text, algorithm);
        require(id === undefined || objectTarget(id) === text, 'a link text is not that of its object');
      }
      for (const refPath of ['a', 'a/b', 'ostree/a%2Fb']) {
        const name = nameOfRefTarget(refPath, text);
        if (name === undefined) continue;
        require(refTarget(refPath, name) === text, 'a link text is not that of its name');
        if (name.isWellFormed() && !name.includes('\0') && encode(name).length <= 255) checkFirstLevelName(name, {});
      }
      parseStreamName(text);
    },
    seeds: [
      '../../ostree-commit-',
      `../objects/ab/${ID.slice(2)}`,
      `../objects/ab/${ID.repeat(2).slice(2)}`,
      `../../../x`,
      `ostree-commit-${ID}`,
    ].map(encode),
  },
  {
    name: 'ref-path',
    parse(bytes) {
      const text = decode(bytes);
      require(decodeRefName(encodeRefName(text)) === text, 'a ref name does not survive');
      require(!encodeRefName(text).includes('/'), 'a ref name is more than one path component');
      if (text !== '') require(ostreeRefOfPath(ostreeRefPath(text)) === text, 'a ref path does not survive');
      checkRefPath(text, {});
    },
    seeds: ['os/x86_64/main', '%2F%25', '%252F', 'ostree/a%2Fb', 'a/../b', '\0', 'é'.repeat(130)].map(encode),
  },
  {
    name: 'location',
    parse(bytes) {
      const place = parseLocation(decode(bytes));
      if (place.kind === 'local') return require(place.path.startsWith('/'), 'a path that is not absolute');
      require(/^https?:\/\/[^/@]+$/.test(place.origin), `origin ${place.origin}`);
      require(place.basePath === '' || /^\/.*[^/]$/.test(place.basePath), `path ${place.basePath}`);
    },
    seeds: [
      'http://u:p%40@h:80/a/',
      'file:///a%20b',
      './x',
      'https://[::1]/',
      'HTTP://EXAMPLE/%2e%2e/a?b#c',
      'file:a',
    ].map(encode),
  },
];
