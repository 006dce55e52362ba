/** Files in pages: the same bytes as all at once, whatever is asked for, and views that stay as they are. */

import { open, truncate, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { FormatError } from '../../src/errors.ts';
import { parseDumpfile } from '../../src/formats/dumpfile.ts';
import { bytesAt } from '../../src/formats/erofs/image-content.ts';
import { ErofsImage } from '../../src/formats/erofs/reader.ts';
import { type ErofsVersion, serializeErofs } from '../../src/formats/erofs/writer.ts';
import { FilePages } from '../../src/store/file-pages.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const PAGE = 1 << 16;

async function withFile(content: Uint8Array, use: (pages: FilePages, path: string) => void | Promise<void>) {
  await using directory = await makeTemporaryDirectory();
  const path = directory.join('file');
  await writeFile(path, content);
  await using handle = await open(path);
  await use(new FilePages(handle.fd, content.length, { file: 'the file' }), path);
}

/** No two places of it are alike. */
const counted = (sizeBytes: number): Uint8Array =>
  new Uint8Array(Uint32Array.from({ length: sizeBytes / 4 }, (_, i) => Math.imul(i, 0x9e3779b1)).buffer);

test('bytes within a page, across pages, and at the end, also after more pages than are kept', async () => {
  const content = counted(100 * PAGE + 4096);
  await withFile(content, (pages) => {
    const kept: Array<{ view: Uint8Array; start: number }> = [];
    const expectAt = (start: number, sizeBytes: number): void => {
      const view = bytesAt(pages, start, sizeBytes);
      expect(Buffer.compare(view, content.subarray(start, start + sizeBytes))).toBe(0);
      kept.push({ view, start });
    };
    for (let page = 0; page <= 100; page++) expectAt(page * PAGE, 16);
    for (let page = 99; page >= 0; page--) expectAt(page * PAGE + 100, 64);
    for (let page = 0; page < 99; page++) expectAt((page + 1) * PAGE - 10, 20 + page);
    expectAt(3 * PAGE - 1, 2 * PAGE + 2);
    expectAt(content.length - 7, 7);
    expectAt(content.length, 0);
    for (const { view, start } of kept)
      expect(Buffer.compare(view, content.subarray(start, start + view.length))).toBe(0);
  });
});

test('a file that became shorter is refused', () =>
  withFile(counted(2 * PAGE), async (pages, path) => {
    await truncate(path, PAGE + 1);
    expect(() => pages.piece(PAGE, PAGE + 1)).toThrow(FormatError);
  }));

test.each([0, 1, 2] as const)('an image of version %i is read from pages as from memory', async (version) => {
  const image = largeImage(version);
  expect(image.length).toBeGreaterThan(8 * PAGE);
  const expected = ErofsImage.open(image);
  await withFile(image, (pages) => {
    const paged = ErofsImage.open(pages);
    expect(paged.header).toEqual(expected.header);
    expect(paged.objects('sha512')).toEqual(expected.objects('sha512'));
    expect(paged.objects('sha512')).toHaveLength(2000);
    expect(paged.readTree()).toEqual(expected.readTree());
  });
});

test('damage is found in pages as in memory', async () => {
  const image = largeImage(1);
  const outcome = (read: () => unknown): string => {
    try {
      read();
      return 'accepted';
    } catch (error) {
      return String(error);
    }
  };
  const outcomes = new Set<string>();
  for (let round = 1; round <= 40; round++) {
    const at = Math.imul(round, 0x9e3779b1) >>> 0;
    const damaged = image.slice();
    damaged[4096 + (at % (image.length - 4096))] ^= 0xff;
    const expected = outcome(() => ErofsImage.open(damaged).objects('sha512'));
    outcomes.add(expected);
    await withFile(damaged, (pages) => expect(outcome(() => ErofsImage.open(pages).objects('sha512'))).toBe(expected));
  }
  expect(outcomes.size).toBeGreaterThan(3);
});

/** A directory of many blocks, inodes that cross pages, shared xattrs, a long one, inline content. */
function largeImage(version: ErofsVersion): Uint8Array {
  const lines = ['/ 0 40755 2 0 0 0 0.0 - - -', '/d 0 40755 2 0 0 0 0.0 - - -'];
  for (let i = 0; i < 2000; i++) {
    const digest = i.toString(16).padStart(128, '0');
    const path = `${digest.slice(0, 2)}/${digest.slice(2)}`;
    const xattrs = `user.shared=${i % 7} ${i % 500 === 0 ? `user.long=${'x'.repeat(3000)}${i}` : ''}`.trim();
    lines.push(`/d/file-${String(i).padStart(4, '0')} ${i + 1} 100644 1 0 0 0 0.0 ${path} - ${digest} ${xattrs}`);
  }
  lines.push(`/inline 500 100644 1 0 0 0 0.0 - ${'z'.repeat(500)} -`, '/link 3 120777 1 0 0 0 0.0 abc - -');
  return serializeErofs(parseDumpfile(Buffer.from(`${lines.join('\n')}\n`)), { version, algorithm: 'sha512' });
}
