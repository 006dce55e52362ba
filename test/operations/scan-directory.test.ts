import { linkSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FormatError, NotFoundError } from '../../src/errors.ts';
import { scanDirectory } from '../../src/operations/scan-directory.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';

let directory: TemporaryDirectory;
beforeAll(async () => {
  directory = await makeTemporaryDirectory('memory');
});
afterAll(() => directory[Symbol.asyncDispose]());

const modifier = { noXattrs: true };

test('hard links are one file, found once', () => {
  const path = directory.join('links');
  mkdirSync(`${path}/sub`, { recursive: true });
  writeFileSync(`${path}/a`, 'content');
  linkSync(`${path}/a`, `${path}/b`);
  linkSync(`${path}/a`, `${path}/sub/c`);
  const { root, files } = scanDirectory(path, modifier);
  expect([...files]).toHaveLength(1);
  expect(root.files.map(({ name }) => name)).toEqual(['a', 'b']);
  expect(root.files[0].file).toBe(root.files[1].file);
  expect(root.directories[0].directory.files[0].file).toBe(root.files[0].file);
});

test('symlinks are files without a path; a file of its own is not taken for a link', () => {
  const path = directory.join('kinds');
  mkdirSync(path);
  symlinkSync('nowhere', `${path}/link`);
  writeFileSync(`${path}/one`, 'same');
  writeFileSync(`${path}/two`, 'same');
  const files = [...scanDirectory(path, modifier).files];
  expect(files.map((file) => file.path).toSorted()).toEqual([`${path}/one`, `${path}/two`, undefined]);
  expect(files.find((file) => file.path === undefined)?.header.target).toBe('nowhere');
});

test('a directory is looked into when the files before it have been taken', () => {
  const path = directory.join('lazy');
  mkdirSync(`${path}/sub`, { recursive: true });
  writeFileSync(`${path}/first`, '');
  writeFileSync(`${path}/sub/second`, '');
  const taking = scanDirectory(path, modifier).files[Symbol.iterator]();
  expect(taking.next().value?.path).toBe(`${path}/first`);
  rmSync(`${path}/sub/second`);
  writeFileSync(`${path}/sub/third`, '');
  expect(taking.next().value?.path).toBe(`${path}/sub/third`);
  expect(taking.next().done).toBe(true);
});

test('what cannot be held is named when it is come upon; what is no directory at once', () => {
  const path = directory.join('bad');
  mkdirSync(path);
  writeFileSync(Buffer.from(`${path}/\xff`, 'latin1'), '');
  const { files } = scanDirectory(path, modifier);
  expect(() => [...files]).toThrow(FormatError);
  expect(() => scanDirectory(`${path}/missing`, modifier)).toThrow(NotFoundError);
});
