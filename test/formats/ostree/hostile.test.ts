/** Hostile vectors, as far as one object, config or ref alone shows what is wrong with it. */

import { sha256 } from '@noble/hashes/sha2.js';
import { inflateSync } from 'fflate';
import { describe, expect, test } from 'vitest';
import { FormatError, LimitError } from '../../../src/errors.ts';
import type { ByteString } from '../../../src/formats/byte-string.ts';
import { toHex } from '../../../src/formats/ids.ts';
import { parseCommit, refBindings } from '../../../src/formats/ostree/commit.ts';
import { parseDirmeta } from '../../../src/formats/ostree/dirmeta.ts';
import { parseDirtree } from '../../../src/formats/ostree/dirtree.ts';
import {
  parseArchiveHeader,
  parseOstreemeta,
  serializeContentHeader,
} from '../../../src/formats/ostree/file-header.ts';
import { parseRefFile } from '../../../src/formats/ostree/refs.ts';
import { parseRepoConfig } from '../../../src/formats/ostree/repo-config.ts';
import { readVector, readVectorJson, readVectorTar } from '../../support/vectors.ts';

interface Case {
  id: string;
  category: string;
  verdict: 'reject' | 'may-reject' | 'accept';
  reason: string;
  dir: string;
  files: Record<string, string>;
  object_type: 'commit' | 'dirtree' | 'dirmeta' | 'file';
  object_name: string;
}
const cases = readVectorJson<{ cases: Case[] }>('hostile/expected.json').cases;
const of = (category: string) => cases.filter((one) => one.category === category);
const fileOf = (one: Case, name: string): Uint8Array => readVector(`hostile/${one.dir}/${one.files[name]}`);

/** Well-formed alone: wrong only beside other objects, or under the ref it is served as. */
const NEEDS_MORE_THAN_THE_OBJECT = [
  'commit-missing-tree',
  'commit-missing-meta',
  'commit-ref-binding-mismatch',
  'commit-ref-binding-wrong-type',
  'dirtree-file-is-dirmeta',
];
/** The header is well-formed: only the content shows it, or the checksum over both. */
const NEEDS_THE_CONTENT = [
  'file-wrong-content',
  'file-wrong-mode',
  'file-wrong-xattrs',
  'filez-bomb-small-declared-prefix',
  'filez-declared-huge',
  'filez-declared-one-less',
  'filez-declared-zero',
  'filez-truncated-deflate',
  'filez-no-deflate',
  'filez-garbage-deflate',
  'filez-trailing-garbage',
];

describe('objects', () => {
  const parsers = { commit: parseCommit, dirtree: parseDirtree, dirmeta: parseDirmeta, file: parseArchiveHeader };
  const objects = of('objects');
  const passes = ({ id }: Case) => NEEDS_MORE_THAN_THE_OBJECT.includes(id) || NEEDS_THE_CONTENT.includes(id);

  test.each(objects.filter((one) => !passes(one)))('$id is refused, and the place named: $reason', (one) => {
    expect(one.verdict).toBe('reject');
    const object = `${one.object_name}.${one.object_type}`;
    expect(() => parsers[one.object_type](fileOf(one, 'object'), { object })).toThrow(
      expect.objectContaining({
        exitCode: 5,
        where: expect.objectContaining({
          object,
          format: expect.any(String),
          field: expect.any(String),
          offset: expect.any(Number),
        }),
      }),
    );
  });

  test.each(objects.filter(passes))('$id is well-formed by itself', (one) => {
    expect(() => parsers[one.object_type](fileOf(one, 'object'))).not.toThrow();
  });

  test.each(objects.filter(({ id }) => id.startsWith('file-wrong-')))(
    '$id has another checksum than its name',
    (one) => {
      const bytes = fileOf(one, 'object');
      const { header, headerBytes } = parseArchiveHeader(bytes);
      const hash = sha256
        .create()
        .update(serializeContentHeader(header))
        .update(inflateSync(bytes.subarray(headerBytes)));
      expect(toHex(hash.digest())).not.toBe(one.object_name);
    },
  );

  test('what a checkout could not hold is a LimitError', () => {
    for (const id of ['dirtree-name-256', 'file-symlink-target-5000']) {
      const one = objects.find((candidate) => candidate.id === id) as Case;
      expect(() => parsers[one.object_type](fileOf(one, 'object'))).toThrow(LimitError);
    }
  });

  test('a ref binding that is no list of strings binds nothing', () => {
    const one = objects.find(({ id }) => id === 'commit-ref-binding-wrong-type') as Case;
    expect(refBindings(parseCommit(fileOf(one, 'object')))).toBeUndefined();
  });
});

test.each(of('config').filter(({ files }) => 'config' in files))('config $id is refused: $reason', (one) => {
  expect(() => parseRepoConfig(fileOf(one, 'config'), { file: 'config' })).toThrow(
    expect.objectContaining({ code: 'CFS_FORMAT', where: expect.objectContaining({ file: 'config' }) }),
  );
});

/** A checksum like any other; only looking for the commit tells. */
const WELL_FORMED_REFS = ['ref-missing-commit', 'ref-names-dirtree'];
test.each(of('refs'))('ref $id: $reason', (one) => {
  const parse = () => parseRefFile(fileOf(one, 'ref'), { file: 'refs/heads/hostile' });
  if (WELL_FORMED_REFS.includes(one.id)) expect(parse()).toMatch(/^[0-9a-f]{64}$/);
  else expect(parse).toThrow(FormatError);
});

describe('bare-user', () => {
  const attributeOf = (id: string): Uint8Array | undefined => {
    const one = cases.find((candidate) => candidate.id === id) as Case;
    const path = `objects/${one.object_name.slice(0, 2)}/${one.object_name.slice(2)}.file`;
    return readVectorTar(`hostile/${one.dir}/${one.files.repo}`)
      .get(path)
      ?.xattrs.get('user.ostreemeta' as ByteString);
  };
  test.each(['bare-user-ostreemeta-truncated', 'bare-user-ostreemeta-empty'])('%s', (id) => {
    const attribute = attributeOf(id) as Uint8Array;
    expect(attribute.length).toBeLessThan(12);
    expect(() => parseOstreemeta(attribute)).toThrow(FormatError);
  });
  test('another mode is well-formed by itself', () => {
    expect(parseOstreemeta(attributeOf('bare-user-ostreemeta-other-mode') as Uint8Array).mode).toBe(0o100755);
  });
});
