import { describe, expect, test } from 'vitest';
import { FormatError, LimitError } from '../../../src/errors.ts';
import { MAX_CONFIG_BYTES, MAX_REF_FILE_BYTES, MAX_REF_NAME_BYTES } from '../../../src/formats/ostree/limits.ts';
import { parseRefFile, validateRefName } from '../../../src/formats/ostree/refs.ts';
import { isCollectionId, parseKeyFile, parseRepoConfig } from '../../../src/formats/ostree/repo-config.ts';

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('ref names', () => {
  test.each(['é', 'a/b', '_x', 'x-.y', '0', 'A..B', '日本/x', '١٢', 'os/x86_64/stable', 'a'.repeat(63)])(
    '%s',
    (name) => {
      expect(() => validateRefName(name)).not.toThrow();
    },
  );
  test.each([
    '',
    '-x',
    '.x',
    'a//b',
    '/a',
    'a/',
    'a b',
    'x/..',
    'x/.y',
    'x@y',
    'x+y',
    'x~y',
    'x/-',
    'x\n',
    'x\0',
    'a:b',
    '0'.repeat(64),
  ])('%j is refused', (name) => {
    expect(() => validateRefName(name)).toThrow(
      expect.objectContaining({ code: 'CFS_FORMAT', where: { field: 'ref' } }),
    );
  });
  test('longer than a path is a LimitError', () => {
    expect(() => validateRefName('x'.repeat(MAX_REF_NAME_BYTES))).not.toThrow();
    expect(() => validateRefName('x'.repeat(MAX_REF_NAME_BYTES + 1))).toThrow(LimitError);
    expect(() => validateRefName('é'.repeat(MAX_REF_NAME_BYTES - 1))).toThrow(LimitError);
  });
});

describe('ref files', () => {
  const checksum = '0123456789abcdef'.repeat(4);
  test.each(['\n', '', ' \r\n', '\n\n'])('a checksum and %j', (tail) => {
    expect(parseRefFile(bytesOf(checksum + tail))).toBe(checksum);
  });
  test.each([
    '',
    '\n',
    checksum.slice(1),
    checksum.toUpperCase(),
    ` ${checksum}`,
    `${checksum}\nx`,
    `${checksum}\0`,
    'é'.repeat(32),
  ])('%j is refused', (text) => {
    expect(() => parseRefFile(bytesOf(text), { file: 'refs/heads/x' })).toThrow(
      expect.objectContaining({ code: 'CFS_FORMAT', where: { file: 'refs/heads/x', format: 'ref' } }),
    );
  });
  test('a large one is a LimitError', () => {
    expect(() => parseRefFile(bytesOf(checksum.padEnd(MAX_REF_FILE_BYTES)))).not.toThrow();
    expect(() => parseRefFile(bytesOf(checksum.padEnd(MAX_REF_FILE_BYTES + 1)))).toThrow(LimitError);
  });
});

test('collection ids', () => {
  for (const id of ['org.example.Os', 'a._b', `a.${'b'.repeat(253)}`]) expect(isCollectionId(id)).toBe(true);
  for (const id of ['org', '.org.x', 'org..x', 'org.1x', 'org.x-y', 'org.x\n', '', `a.${'b'.repeat(254)}`])
    expect(isCollectionId(id)).toBe(false);
});

describe('key files', () => {
  const parse = (text: string) =>
    Object.fromEntries([...parseKeyFile(text)].map(([group, values]) => [group, Object.fromEntries(values)]));
  test('comments, blanks, spaces, repeated groups and keys, locales, CRLF', () => {
    const text = '# c\n\n[a]\r\nk = v \r\n  [b] \t\nx=\ny==\nname[de_DE.UTF-8@euro]=é\n[a]\nk=w\nl=1';
    expect(parse(text)).toEqual({ a: { k: 'w', l: '1' }, b: { x: '', y: '=', 'name[de_DE.UTF-8@euro]': 'é' } });
  });
  test('the last line needs no end', () => {
    expect(parse('')).toEqual({});
    expect(parse('[g]')).toEqual({ g: {} });
  });
  test.each(['k=v', '[a', '[]', '[a]x', '[a[b]', '[a\x01]', '[a]\nword', '[a]\n=v', '[a]\nk[=v', '[a]\nk=\0'])(
    '%j is refused',
    (text) => {
      expect(() => parseKeyFile(text)).toThrow(FormatError);
    },
  );
  test('an error names the line', () => {
    expect(() => parseKeyFile('[a]\n\nword', { file: 'config' })).toThrow(
      expect.objectContaining({ where: { file: 'config', field: 'line 3', offset: 5 } }),
    );
  });
});

describe('repository config', () => {
  const parse = (core: string, rest = '') => parseRepoConfig(bytesOf(`[core]\nrepo_version=1\n${core}\n${rest}`));
  test('what a fresh archive repository has', () => {
    expect(parseRepoConfig(bytesOf('[core]\nrepo_version=1\nmode=archive-z2\n'))).toEqual({
      mode: 'archive',
      locking: true,
      lockTimeoutSeconds: 300,
      disableXattrs: false,
      remotes: new Map(),
    });
  });
  test.each([
    ['mode=archive', 'archive'],
    ['mode=bare', 'bare'],
    ['', 'bare'],
    ['mode=bare-user', 'bare-user'],
    ['mode=bare-user-only', 'bare-user-only'],
    ['mode=bare-split-xattrs', 'bare-split-xattrs'],
  ])('%j is %s', (core, mode) => {
    expect(parse(core).mode).toBe(mode);
  });
  test('everything that we use', () => {
    const core =
      'collection-id=org.example.Os\nparent=/ostree/a\\sb\nlocking=false\nlock-timeout-secs=-1\ndisable-xattrs=1';
    expect(parse(core, '[remote "origin"]\nurl=https://os.example/repo\ngpg-verify=false\n[remote ""]\nurl=x')).toEqual(
      {
        mode: 'bare',
        collectionId: 'org.example.Os',
        parent: '/ostree/a b',
        locking: false,
        lockTimeoutSeconds: -1,
        disableXattrs: true,
        remotes: new Map([
          [
            'origin',
            new Map([
              ['url', 'https://os.example/repo'],
              ['gpg-verify', 'false'],
            ]),
          ],
        ]),
      },
    );
  });
  test.each([
    'fsync=false\nunknown=x',
    'min-free-space-size=100MB',
    'min-free-space-percent=99',
    'default-repo-finders=config;mount;',
    'tombstone-commits=0 ',
  ])('%j is accepted', (core) => {
    expect(() => parse(core)).not.toThrow();
  });
  test.each([
    ['mode=bogus', 'core.mode'],
    ['fsync=yes', 'core.fsync'],
    ['locking=TRUE', 'core.locking'],
    ['archive=true', 'core.archive'],
    ['min-free-space-size=1KB', 'core.min-free-space-size'],
    ['min-free-space-percent=100', 'core.min-free-space-percent'],
    ['min-free-space-percent=-1', 'core.min-free-space-percent'],
    ['default-repo-finders=', 'core.default-repo-finders'],
    ['default-repo-finders=dns', 'core.default-repo-finders'],
    ['lock-timeout-secs=soon', 'core.lock-timeout-secs'],
    ['collection-id=os', 'core.collection-id'],
    ['parent=\\x', 'core.parent'],
    ['repo_version=2', 'core.repo_version'],
    ['[ex-integrity]\nfsverity=perhaps', 'ex-integrity.fsverity'],
  ])('%j is refused', (core, field) => {
    expect(() => parse(core)).toThrow(
      expect.objectContaining({ code: 'CFS_FORMAT', where: { format: 'repository config', field } }),
    );
  });
  test('not UTF-8, or too large', () => {
    expect(() => parseRepoConfig(Uint8Array.of(0xff))).toThrow(FormatError);
    expect(() => parseRepoConfig(new Uint8Array(MAX_CONFIG_BYTES + 1))).toThrow(LimitError);
  });
});
