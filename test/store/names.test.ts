/** Names before they reach the file system, and how ostree names are kept. */

import { describe, expect, test } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import type { Checksum } from '../../src/formats/ids.ts';
import { checkFirstLevelName, checkRefPath } from '../../src/store/names.ts';
import {
  commitStreamName,
  decodeRefName,
  encodeRefName,
  ostreeRefOfPath,
  ostreeRefPath,
  parseStreamName,
} from '../../src/store/ostree-refs.ts';

const COMMIT = '0'.repeat(64) as Checksum;

describe('first-level names', () => {
  test.each(['a', 'oci-layer-sha256:00', '..a', 'ä'.repeat(127), 'x'.repeat(255)])('%s is fine', (name) => {
    checkFirstLevelName(name, {});
  });
  test.each(['', '.', '..', 'refs', 'a/b', '/', 'a\0', 'ä'.repeat(128), 'x'.repeat(256), '\ud800'])(
    '%j is refused',
    (name) => {
      expect(() => checkFirstLevelName(name, {})).toThrow(UsageError);
    },
  );
});

describe('ref paths', () => {
  test.each(['a', 'a/b/c', 'refs', `${'x'.repeat(255)}/y`])('%s is fine', (ref) => {
    checkRefPath(ref, {});
  });
  test.each(['', '/a', 'a/', 'a//b', '..', 'a/../b', './a', 'a\0b', `a/${'x'.repeat(256)}`, `${'x/'.repeat(1024)}x`])(
    '%j is refused',
    (ref) => {
      expect(() => checkRefPath(ref, {})).toThrow(UsageError);
    },
  );
});

describe('ostree refs', () => {
  test('percent is encoded before the slash', () => {
    expect(ostreeRefPath('release/1.0%beta')).toBe('ostree/release%2F1.0%25beta');
    expect(ostreeRefOfPath('ostree/release%2F1.0%25beta')).toBe('release/1.0%beta');
  });
  test('decoding is the exact inverse for all short strings of the letters that matter', () => {
    const letters = ['%', '/', '2', '5', 'F', 'f', 'a'];
    let names = [''];
    for (let length = 0; length < 5; length++) {
      names = names.flatMap((name) => letters.map((letter) => name + letter));
      for (const name of names) expect(decodeRefName(encodeRefName(name))).toBe(name);
    }
  });
  test('refs of other writers are none of ostree', () => {
    expect(ostreeRefOfPath('my/layer')).toBeUndefined();
    expect(ostreeRefOfPath('ostree/a/b')).toBeUndefined();
    expect(ostreeRefOfPath('ostree')).toBeUndefined();
  });
  test('a stream name says what it is', () => {
    expect(parseStreamName(commitStreamName(COMMIT))).toEqual({ kind: 'commit', commit: COMMIT });
    expect(parseStreamName(`cfs-ostree-partial-${COMMIT}`)).toEqual({ kind: 'partial', commit: COMMIT });
    expect(parseStreamName(`ostree-commit-${'A'.repeat(64)}`)).toBeUndefined();
    expect(parseStreamName('oci-layer-sha256:00')).toBeUndefined();
  });
});
