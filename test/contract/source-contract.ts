/** What every Source must do, whatever it reads from. Each implementation runs this suite over the repositories of test/vectors/repos. */

import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CfsError, FormatError, MissingObjectError, NotFoundError } from '../../src/errors.ts';
import type { FileBody, RepositoryMode } from '../../src/formats/file-body.ts';
import type { Checksum } from '../../src/formats/ids.ts';
import { parseDetachedMetadata } from '../../src/formats/ostree/detached-metadata.ts';
import type { MetadataType, Source } from '../../src/sources/source.ts';
import { readVectorFacts, type VectorCommit, type VectorFacts } from '../support/vector-repositories.ts';
import { checksumOfBody, readXattrs, type XattrTable } from './read-file-body.ts';

export interface SourceSetup {
  /** Opens the vector repository of that mode. */
  open(): Promise<Source>;
  mode: RepositoryMode;
  /** The commits that the repository holds, by their short names; without: all of the vectors. */
  commits?: string[];
  /** Whether refs can be listed there; a source that cannot must say so. */
  canList: boolean;
  /** `listxattr` has to see what the modes keep there. */
  needsXattrs?: boolean;
}

const ABSENT = '0123456789abcdef'.repeat(4) as Checksum;

export function describeSource(title: string, setup: SourceSetup): void {
  describe(title, () => {
    let facts: VectorFacts;
    let source: Source;
    let commits: VectorCommit[];
    let refs: Record<string, Checksum>;

    beforeAll(async () => {
      facts = readVectorFacts();
      source = await setup.open();
      commits = (setup.commits ?? Object.keys(facts.commits)).map((name) => facts.commits[name]);
      refs = facts.repos[setup.mode].refs;
    });
    afterAll(() => source[Symbol.asyncDispose]());

    const objects = (type: string): Checksum[] => [
      ...new Set(
        commits.flatMap((commit) => commit.objects.filter((o) => o.type === type).map(({ checksum }) => checksum)),
      ),
    ];

    test('says what it is', () => {
      expect(source.mode).toBe(setup.mode);
      expect(source.collectionId).toBeUndefined();
      expect(source.maxConcurrency).toBeGreaterThanOrEqual(4);
      expect(source.url).not.toMatch(/\/$/);
    });

    test('resolves every ref', async () => {
      for (const [ref, commit] of Object.entries(refs)) expect(await source.resolveRef(ref)).toBe(commit);
    });

    test.each(['no/such/ref', 'nasty', 'nasty/x86_64/main/deeper', 'é', 'x'.repeat(300)])(
      'has no ref %j',
      async (ref) => {
        const failure = source.resolveRef(ref);
        await expect(failure).rejects.toThrow(NotFoundError);
        await expect(failure).rejects.toMatchObject({
          exitCode: 4,
          where: { file: expect.stringContaining(source.url) },
        });
      },
    );

    test.each([
      '',
      '.',
      '..',
      '../config',
      'heads/../../config',
      '/etc/passwd',
      'a//b',
      'a b',
      'a\n',
      'a?b',
      'a#b',
      'a%2Fb',
    ])('refuses %j as a ref', async (ref) => {
      await expect(source.resolveRef(ref)).rejects.toThrow(FormatError);
    });

    test(setup.canList ? 'lists the refs in order' : 'says that it cannot list the refs', async () => {
      if (setup.canList) expect([...(await source.listRefs())]).toEqual(Object.entries(refs).sort());
      else await expect(source.listRefs()).rejects.toThrow(NotFoundError);
    });

    test.each<MetadataType>(['commit', 'dirtree', 'dirmeta'])('hands out every %s as it is', async (type) => {
      const checksums = objects(type);
      expect(checksums.length).toBeGreaterThan(1);
      const before = source.bytesTransferred;
      let bytes = 0;
      // All at once: more than maxConcurrency is no error.
      const all = await Promise.all(checksums.map((checksum) => source.fetchMetadata(checksum, type)));
      for (const [i, object] of all.entries()) {
        expect(createHash('sha256').update(object).digest('hex')).toBe(checksums[i]);
        expect(object.constructor).toBe(Uint8Array);
        bytes += object.length;
      }
      expect(source.bytesTransferred).toBe(before + bytes);
    });

    test('hands out detached metadata of the commit that has some, and of no other', async () => {
      for (const commit of commits) {
        const bytes = await source.fetchDetachedMetadata(commit.checksum);
        if (!commit.detached_metadata) expect(bytes).toBeUndefined();
        else expect(parseDetachedMetadata(bytes ?? new Uint8Array(0)).map(([key]) => key)).toEqual(['detached.note']);
      }
      expect(await source.fetchDetachedMetadata(ABSENT)).toBeUndefined();
    });

    test('hands out every file so that it hashes to its checksum', async () => {
      const checksums = objects('file');
      expect(checksums.length).toBeGreaterThan(50);
      const before = source.bytesTransferred;
      const bodies = await Promise.all(checksums.map((checksum) => source.openFile(checksum)));
      const xattrs = setup.needsXattrs ? await readXattrs(bodies.map(pathOf)) : (new Map() as XattrTable);
      for (const [i, body] of bodies.entries()) expect(await checksumOfBody(body, xattrs)).toBe(checksums[i]);
      expect(source.bytesTransferred).toBeGreaterThan(before);
    });

    test('names the object that is missing', async () => {
      const file = source.openFile(ABSENT);
      await expect(file).rejects.toThrow(MissingObjectError);
      const suffix = setup.mode === 'archive' ? 'filez' : 'file';
      await expect(file).rejects.toMatchObject({
        exitCode: 5,
        where: { object: `${ABSENT}.${suffix}`, file: source.url },
      });
      for (const type of ['commit', 'dirtree', 'dirmeta'] as const) {
        const metadata = source.fetchMetadata(ABSENT, type);
        await expect(metadata).rejects.toThrow(MissingObjectError);
        await expect(metadata).rejects.toMatchObject({ where: { object: `${ABSENT}.${type}`, file: source.url } });
      }
      // A name that exists, but as another type.
      await expect(source.fetchMetadata(commits[0].checksum, 'dirtree')).rejects.toThrow(MissingObjectError);
    });

    test('does nothing for a signal that is aborted already, and works with one that is not', async () => {
      const reason = new Error('interrupted');
      const { checksum } = commits[0];
      const signal = AbortSignal.abort(reason);
      await expect(source.resolveRef(Object.keys(refs)[0], signal)).rejects.toBe(reason);
      await expect(source.listRefs(signal)).rejects.toBe(reason);
      await expect(source.fetchMetadata(checksum, 'commit', signal)).rejects.toBe(reason);
      await expect(source.fetchDetachedMetadata(checksum, signal)).rejects.toBe(reason);
      await expect(source.openFile(objects('file')[0], signal)).rejects.toBe(reason);
      const { signal: quiet } = new AbortController();
      await expect(source.fetchMetadata(checksum, 'commit', quiet)).resolves.toBeInstanceOf(Uint8Array);
    });

    test('ends without trouble, also in the middle of things', async () => {
      const other = await setup.open();
      const wanted = Promise.allSettled(objects('file').map((checksum) => other.openFile(checksum)));
      await other[Symbol.asyncDispose]();
      for (const result of await wanted)
        if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(CfsError);
    });
  });
}

function pathOf(body: FileBody): string {
  if (body.form !== 'local') throw new Error(`expected a local body, got ${body.form}`);
  return body.path;
}
