import { describe, expect, test } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import { parseLocation } from '../../src/sources/location.ts';

describe('parseLocation', () => {
  test.each([
    ['http://host', 'http://host', ''],
    ['HTTP://Host:80/', 'http://host', ''],
    ['https://host:8443/a/b///', 'https://host:8443', '/a/b'],
    ['https://[::1]:8443/a b/é%2F', 'https://[::1]:8443', '/a%20b/%C3%A9%2F'],
    ['http://host/a/../b/.', 'http://host', '/b'],
  ])('%s', (text, origin, basePath) => {
    expect(parseLocation(text)).toEqual({ kind: 'http', origin, basePath, authorization: undefined });
  });

  test('a user and password become a header and leave the URL', () => {
    const basic = (pair: string): string => `Basic ${Buffer.from(pair).toString('base64')}`;
    expect(parseLocation('https://me:p%40s%C3%A9@host/x')).toEqual({
      kind: 'http',
      origin: 'https://host',
      basePath: '/x',
      authorization: basic('me:p@sé'),
    });
    expect(parseLocation('https://me@host')).toMatchObject({ authorization: basic('me:') });
    expect(parseLocation('https://me:100%@host')).toMatchObject({ authorization: basic('me:100%') });
  });

  test.each([
    ['/srv/repo', '/srv/repo'],
    ['/srv/repo/', '/srv/repo'],
    ['relative', `${process.cwd()}/relative`],
    ['a:b/c', `${process.cwd()}/a:b/c`],
    ['file:///srv/a%20b', '/srv/a b'],
    ['file:/srv/x', '/srv/x'],
    ['FILE://localhost/srv/x', '/srv/x'],
  ])('%s is a path', (text, path) => {
    expect(parseLocation(text)).toEqual({ kind: 'local', path });
  });

  test.each([
    '',
    'ftp://host/x',
    'ssh://host/x',
    'http://',
    'http://host:99999/',
    'https://host/x?y=1',
    'https://host/x#y',
    'file:relative',
    'file://elsewhere/x',
    'file:///a%2Fb',
    'file:///a?b',
  ])('%j is refused', (text) => {
    expect(() => parseLocation(text)).toThrow(UsageError);
  });

  test('no error shows a password', () => {
    for (const text of ['ftp://me:secret@host/', 'http://me:secret@host/?x', 'http://me:secret@host:99999/'])
      expect(() => parseLocation(text)).toThrow(
        expect.objectContaining({ message: expect.not.stringContaining('secret') }),
      );
  });
});
