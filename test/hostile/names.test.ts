/** Names and symlink targets that no honest writer produces, pulled by the built program. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { byteStringFromText } from '../../src/formats/byte-string.ts';
import { serializeDirtree } from '../../src/formats/ostree/dirtree.ts';
import { MAX_NAME_BYTES, MAX_TARGET_BYTES } from '../../src/formats/ostree/limits.ts';
import { runCliJson } from '../cli/run-cli.ts';
import { AttackGround, expectPulled, expectRefused } from './attack-ground.ts';
import { HOSTILE_REF } from './hostile-cases.ts';
import { type HostileSource, name } from './hostile-source.ts';

let ground: AttackGround;
beforeAll(async () => {
  ground = await AttackGround.open();
});
afterAll(() => ground[Symbol.asyncDispose]());

describe.concurrent('names in a directory', () => {
  const names: Array<[what: string, text: string, code: string]> = [
    ['..', '..', 'CFS_FORMAT'],
    ['.', '.', 'CFS_FORMAT'],
    ['empty', '', 'CFS_FORMAT'],
    ['with a slash inside', 'a/b', 'CFS_FORMAT'],
    ['a slash', '/', 'CFS_FORMAT'],
    ['a way out', '../../etc/passwd', 'CFS_FORMAT'],
    ['with a NUL inside', 'a\0b', 'CFS_FORMAT'],
    ['not UTF-8', 'caf\xe9', 'CFS_FORMAT'],
    ['an overlong form', '\xc0\xaf', 'CFS_FORMAT'],
    ['a surrogate', '\xed\xa0\x80', 'CFS_FORMAT'],
    [`of ${MAX_NAME_BYTES + 1} bytes`, 'x'.repeat(MAX_NAME_BYTES + 1), 'CFS_LIMIT'],
    [`of ${MAX_NAME_BYTES + 1} bytes in fewer characters`, byteStringFromText('ä'.repeat(128)), 'CFS_LIMIT'],
    ['of a megabyte', 'x'.repeat(1 << 20), 'CFS_LIMIT'],
  ];
  test.each(
    names.flatMap(([what, text, code]) => ['files', 'directories'].map((kind) => ({ what, text, code, kind }))),
  )('$what ($kind)', async ({ text, code, kind }) => {
    await using prepared = await ground.prepare();
    const { source } = prepared;
    const bad = source.addDirtree({ [kind]: [text] });
    source.commit(source.addTree({ files: [], directories: [source.directory('fine', bad)] }));
    const error = await expectRefused(prepared, `${bad}.dirtree`);
    expect(error).toMatchObject({ code, where: { field: kind, offset: 0 } });
    if (code === 'CFS_LIMIT') expect(error.message).toContain(`${MAX_NAME_BYTES} bytes`);
  });

  const swap = (bytes: Uint8Array, from: string, to: string): Uint8Array => {
    const text = Buffer.from(bytes).toString('latin1');
    expect(text).toContain(from);
    return Buffer.from(text.replace(from, to), 'latin1');
  };
  const entries = (source: HostileSource, files: string[], directories: string[]) =>
    serializeDirtree({
      files: files.map((file) => ({ name: name(file), checksum: source.file })),
      directories: directories.map((one) => source.directory(one, source.emptyDirtree)),
    });
  const orders: Array<[what: string, make: (source: HostileSource) => Uint8Array, field: string]> = [
    ['twice the same file', (source) => entries(source, ['a', 'a'], []), 'files'],
    ['twice the same directory', (source) => entries(source, [], ['a', 'a']), 'directories'],
    ['a file and a directory', (source) => entries(source, ['a', 'b', 'c'], ['0', 'b']), 'directories'],
    ['files in the wrong order', (source) => swap(entries(source, ['aaa', 'bbb'], []), 'aaa', 'ccc'), 'files'],
    [
      'directories in the wrong order',
      (source) => swap(entries(source, [], ['aaa', 'bbb']), 'aaa', 'ccc'),
      'directories',
    ],
    ['the longer name before its prefix', (source) => swap(entries(source, ['ab', 'acd'], []), 'acd', 'a\0d'), 'files'],
  ];
  test.each(orders)('%s', async (_what, make, field) => {
    await using prepared = await ground.prepare();
    const { source } = prepared;
    const bad = source.add('dirtree', make(source));
    source.commit(bad);
    expect((await expectRefused(prepared, `${bad}.dirtree`)).where).toMatchObject({
      field,
      offset: expect.any(Number),
    });
  });

  test(`of ${MAX_NAME_BYTES} bytes, and odd but harmless ones, are taken`, async () => {
    await using prepared = await ground.prepare();
    const odd = ['...', ' ', '-rf', '\n', '\x01\x7f', '*', 'x'.repeat(MAX_NAME_BYTES), byteStringFromText('ä€😀')];
    prepared.source.commit(prepared.source.addDirtree({ files: odd }));
    await expectPulled(prepared);
    const listed = await runCliJson<unknown[]>(['--repo', prepared.victim.path, 'ls', HOSTILE_REF]);
    expect(listed).toHaveLength(odd.length);
  });
});

describe.concurrent('symlink targets', () => {
  test.each([
    [`of ${MAX_TARGET_BYTES + 1} bytes`, 'x'.repeat(MAX_TARGET_BYTES + 1), 'CFS_LIMIT'],
    ['of half a megabyte', 'x'.repeat(1 << 19), 'CFS_LIMIT'],
    ['with a NUL inside', 'a\0b', 'CFS_FORMAT'],
    ['that is empty', '', 'CFS_FORMAT'],
    ['not UTF-8', '\xff', 'CFS_FORMAT'],
  ])('%s', async (_what, target, code) => {
    await using prepared = await ground.prepare();
    const { source } = prepared;
    const link = source.addSymlink(target);
    source.commit(source.addTree({ files: [{ name: name('link'), checksum: link }], directories: [] }));
    for (const from of [source.path, prepared.url]) {
      const error = await expectRefused(prepared, `${link}.file`, from);
      expect(error).toMatchObject({ code, where: { field: 'target', offset: expect.any(Number) } });
      if (code === 'CFS_LIMIT') expect(error.message).toContain(`${MAX_TARGET_BYTES} bytes`);
    }
  });

  test(`of ${MAX_TARGET_BYTES} bytes, absolute or upwards, are taken: they are followed by whoever uses the tree`, async () => {
    await using prepared = await ground.prepare();
    const { source } = prepared;
    const targets = ['x'.repeat(MAX_TARGET_BYTES), '/etc/passwd', '../../..', '/', '.'];
    source.commit(
      source.addTree({
        files: targets.map((target, i) => ({ name: name(String(i)), checksum: source.addSymlink(target) })),
        directories: [],
      }),
    );
    await expectPulled(prepared);
  });
});
