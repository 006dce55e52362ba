import { execFileSync } from 'node:child_process';
import { mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  CfsError,
  FormatError,
  LimitError,
  MissingObjectError,
  NotFoundError,
  RepositoryError,
} from '../../src/errors.ts';
import type { RepositoryMode } from '../../src/formats/file-body.ts';
import type { Checksum } from '../../src/formats/ids.ts';
import { openSource } from '../../src/sources/open-source.ts';
import type { Source } from '../../src/sources/source.ts';
import { describeSource } from '../contract/source-contract.ts';
import { describeWithPeers } from '../support/peers.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';
import { readVectorFacts, unpackVectorRepository, vectorRepository } from '../support/vector-repositories.ts';

const C = 'c'.repeat(64) as Checksum;
const MAIN = '425d48f69f15af8202216381360c93cd489468676c31484d765a7fb9521c3d37' as Checksum;
const isRoot = process.getuid?.() === 0;

const openVectors = async (mode: RepositoryMode): Promise<Source> => openSource(await vectorRepository(mode));
const canonical = ['canonical-1', 'canonical-2'];

describe('from disk', () => {
  describeSource('archive', { open: () => openVectors('archive'), mode: 'archive', canList: true });
  describeSource('archive, as a URL', {
    open: async () => openSource(`file://${await vectorRepository('archive')}`),
    mode: 'archive',
    canList: true,
  });
  describeSource('bare-user-only', {
    open: () => openVectors('bare-user-only'),
    mode: 'bare-user-only',
    commits: canonical,
    canList: true,
  });
});

describeWithPeers('from disk, with xattrs', ['python3'], () => {
  describeSource('bare-user', {
    open: () => openVectors('bare-user'),
    mode: 'bare-user',
    canList: true,
    needsXattrs: true,
  });
});

// Owners and xattrs of trusted.* and security.* can only be unpacked by root.
describeWithPeers('from disk, with owners', ['python3', 'root'], () => {
  describeSource('bare', { open: () => openVectors('bare'), mode: 'bare', canList: true, needsXattrs: true });
  describeSource('bare-split-xattrs', {
    open: () => openVectors('bare-split-xattrs'),
    mode: 'bare-split-xattrs',
    canList: true,
  });
});

describe('a local repository', () => {
  let directory: TemporaryDirectory;
  let repo: string;
  beforeAll(async () => {
    directory = await makeTemporaryDirectory();
    repo = directory.join('repo');
    await mkdir(repo);
    await unpackVectorRepository('archive', repo);
  });
  afterAll(() => directory[Symbol.asyncDispose]());

  const writeRef = async (name: string, content: string): Promise<void> => {
    await mkdir(`${repo}/refs/${name}`.replace(/\/[^/]*$/, ''), { recursive: true });
    await writeFile(`${repo}/refs/${name}`, content);
  };
  const failureOf = async (work: Promise<unknown>): Promise<CfsError> => {
    const error = await work.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(CfsError);
    return error as CfsError;
  };

  test.each([
    ['nothing there', 'nowhere', /no such directory/],
    ['a file', 'repo/config', /not a directory/],
    ['below a file', 'repo/config/x', /no such directory/],
    ['an empty directory', 'empty', /no directory objects/],
    ['a directory with objects only', 'half', /no config/],
  ])('%s is no repository', async (_, name, message) => {
    await mkdir(directory.join('empty'), { recursive: true });
    await mkdir(directory.join('half/objects'), { recursive: true });
    for (const location of [directory.join(name), `file://${directory.join(name)}`]) {
      const error = await failureOf(openSource(location));
      expect(error).toBeInstanceOf(RepositoryError);
      expect(error).toMatchObject({ exitCode: 10, message: expect.stringMatching(message) });
    }
  });

  test('a config that is no regular file, or too large, is refused unread', async () => {
    const other = directory.join('odd-config');
    await mkdir(`${other}/objects`, { recursive: true });
    execFileSync('mkfifo', [`${other}/config`]);
    expect(await failureOf(openSource(other))).toBeInstanceOf(FormatError);
    await rm(`${other}/config`);
    await symlink('/dev/zero', `${other}/config`);
    expect(await failureOf(openSource(other))).toBeInstanceOf(FormatError);
    await rm(`${other}/config`);
    await writeFile(`${other}/config`, 'x'.repeat(5 << 20));
    expect(await failureOf(openSource(other))).toBeInstanceOf(LimitError);
  });

  test('a relative path and one through a link', async () => {
    await symlink(repo, directory.join('link'));
    await using source = await openSource(directory.join('link'));
    expect(await source.resolveRef('nasty/x86_64/main')).toBe(MAIN);
    const cwd = process.cwd();
    process.chdir(directory.path);
    try {
      await using relative = await openSource('repo');
      expect(relative.url).toBe(repo);
    } finally {
      process.chdir(cwd);
    }
  });

  test('refs of remotes and mirrors are found, but not listed', async () => {
    await writeRef('remotes/origin/far', `${C}\n`);
    await writeRef('mirrors/org.example.Os/mirrored', `${C}\n`);
    await writeRef('remotes/origin/nasty/x86_64/main', `${C}\n`);
    await using source = await openSource(repo);
    expect(await source.resolveRef('origin/far')).toBe(C);
    expect(await source.resolveRef('origin:far')).toBe(C);
    expect(await source.resolveRef('org.example.Os/mirrored')).toBe(C);
    expect(await source.resolveRef('nasty/x86_64/main')).toBe(MAIN);
    for (const ref of ['origin:nowhere', 'nobody:far', 'far'])
      expect(await failureOf(source.resolveRef(ref))).toBeInstanceOf(NotFoundError);
    for (const ref of ['..:far', 'origin:../far', 'origin:', ':far', 'a:b:c'])
      expect(await failureOf(source.resolveRef(ref))).toBeInstanceOf(FormatError);
    expect([...(await source.listRefs()).keys()]).toEqual([
      'nasty/canonical',
      'nasty/x86_64/main',
      'nasty/x86_64/other',
    ]);
  });

  test('aliases lead to other refs and nowhere else', async () => {
    const outside = directory.join('secret');
    await writeFile(outside, `${C}\n`);
    await writeFile(`${repo}/inside`, `${C}\n`);
    const heads = `${repo}/refs/heads`;
    await symlink('nasty/x86_64/main', `${heads}/alias`);
    await symlink('../alias', `${heads}/nasty/alias`);
    await symlink('nasty', `${heads}/directory`);
    await symlink('nowhere', `${heads}/dangling`);
    await symlink('circle', `${heads}/circle`);
    await symlink('../../../secret', `${heads}/relative-escape`);
    await symlink(outside, `${heads}/absolute-escape`);
    await symlink('../../inside', `${heads}/not-a-ref`);
    await symlink(directory.path, `${heads}/escape`);
    await using source = await openSource(repo);
    for (const ref of ['alias', 'nasty/alias', 'directory/x86_64/main'])
      expect(await source.resolveRef(ref)).toBe(MAIN);
    expect(await failureOf(source.resolveRef('dangling'))).toBeInstanceOf(NotFoundError);
    for (const ref of ['circle', 'relative-escape', 'absolute-escape', 'not-a-ref', 'escape/secret']) {
      const error = await failureOf(source.resolveRef(ref));
      expect(error).toBeInstanceOf(FormatError);
      expect(error.where.file).toBe(`${heads}/${ref}`);
    }
    expect(await failureOf(source.listRefs())).toBeInstanceOf(FormatError);
    for (const ref of ['circle', 'relative-escape', 'absolute-escape', 'not-a-ref', 'escape'])
      await rm(`${heads}/${ref}`);
    expect([...(await source.listRefs()).keys()]).toEqual([
      'alias',
      'nasty/alias',
      'nasty/canonical',
      'nasty/x86_64/main',
      'nasty/x86_64/other',
    ]);
    for (const ref of ['alias', 'nasty/alias', 'directory', 'dangling']) await rm(`${heads}/${ref}`);
  });

  test.each([
    ['garbage', 'no checksum at all'],
    ['empty', ''],
    ['short', `${'c'.repeat(63)}\n`],
    ['upper-case', `${'C'.repeat(64)}\n`],
    ['two-lines', `${C}\n${C}\n`],
    ['huge', 'a'.repeat(65536)],
  ])('a ref file with %s is refused and named', async (name, content) => {
    await writeRef(`heads/${name}`, content);
    await using source = await openSource(repo);
    for (const work of [() => source.resolveRef(name), () => source.listRefs()])
      expect(await failureOf(work())).toMatchObject({ exitCode: 5, where: { file: `${repo}/refs/heads/${name}` } });
    await rm(`${repo}/refs/heads/${name}`);
  });

  test('pipes and devices among the refs and objects are refused without being opened', async () => {
    const { objects } = readVectorFacts().commits['main-1'];
    const pathOf = (checksum: string, suffix: string): string =>
      `${repo}/objects/${checksum.slice(0, 2)}/${checksum.slice(2)}.${suffix}`;
    const dirtree = objects.find(({ type }) => type === 'dirtree')?.checksum as Checksum;
    const file = objects.find(({ type }) => type === 'file')?.checksum as Checksum;
    execFileSync('mkfifo', [`${repo}/refs/heads/pipe`]);
    await using source = await openSource(repo);
    expect(await failureOf(source.resolveRef('pipe'))).toMatchObject({ exitCode: 5 });
    expect((await source.listRefs()).has('pipe')).toBe(false);
    await rm(`${repo}/refs/heads/pipe`);
    for (const [path, open] of [
      [pathOf(dirtree, 'dirtree'), () => source.fetchMetadata(dirtree, 'dirtree')],
      [pathOf(file, 'filez'), () => source.openFile(file)],
    ] as const) {
      await rename(path, `${path}.aside`);
      const replacements = [
        () => execFileSync('mkfifo', [path]),
        () => symlink(`${path}.aside`, path),
        () => mkdir(path),
        ...(isRoot ? [() => execFileSync('mknod', [path, 'c', '1', '5'])] : []),
      ];
      for (const replace of replacements) {
        await replace();
        const error = await failureOf(open());
        expect(error).toBeInstanceOf(FormatError);
        expect(error.where.object).toMatch(/^[0-9a-f]{64}\.(dirtree|filez)$/);
        await rm(path, { recursive: true });
      }
      await rename(`${path}.aside`, path);
      await open();
    }
  });

  test('metadata over the limit is refused by its size, large metadata is read', async () => {
    const path = (checksum: Checksum): string => `${repo}/objects/${checksum.slice(0, 2)}/${checksum.slice(2)}.commit`;
    const sizes = new Map<Checksum, number>([
      ['d'.repeat(64) as Checksum, (128 << 20) + 1],
      ['e'.repeat(64) as Checksum, 3 << 20],
      ['f'.repeat(64) as Checksum, 2 << 20],
    ]);
    for (const [checksum, size] of sizes) {
      await mkdir(path(checksum).replace(/\/[^/]*$/, ''), { recursive: true });
      execFileSync('truncate', ['-s', String(size), path(checksum)]);
    }
    await using source = await openSource(repo);
    const results = await Promise.allSettled(
      [...sizes.keys()].map((checksum) => source.fetchMetadata(checksum, 'commit')),
    );
    expect(results[0]).toMatchObject({ status: 'rejected', reason: expect.any(LimitError) });
    expect(results.slice(1).map((r) => r.status === 'fulfilled' && r.value.length)).toEqual([3 << 20, 2 << 20]);
    for (const checksum of sizes.keys()) await rm(path(checksum));
  });

  test('a commit that is there only in part: the missing object says so', async () => {
    await writeFile(`${repo}/state/${MAIN}.commitpartial`, '');
    await using source = await openSource(repo);
    expect((await failureOf(source.openFile(C))).message).not.toContain('in part');
    await source.fetchMetadata(MAIN, 'commit');
    const error = await failureOf(source.openFile(C));
    expect(error).toBeInstanceOf(MissingObjectError);
    expect(error.message).toContain(`commit ${MAIN} only in part`);
    await rm(`${repo}/state/${MAIN}.commitpartial`);
  });

  describe('with a parent', () => {
    /** A repository without objects of its own; `lines` go into its config. */
    const makeRepo = async (name: string, ...lines: string[]): Promise<string> => {
      const path = directory.join(name);
      await mkdir(`${path}/objects`, { recursive: true });
      await mkdir(`${path}/refs/heads`, { recursive: true });
      await writeFile(`${path}/config`, `[core]\nrepo_version=1\nmode=bare-user-only\n${lines.join('\n')}\n`);
      return path;
    };

    test('refs, metadata, detached metadata and files come from it when they are not here', async () => {
      const middle = await makeRepo('middle', `parent=${repo}`);
      const child = await makeRepo('child', 'parent=../middle');
      await writeFile(`${middle}/refs/heads/own`, `${C}\n`);
      await using source = await openSource(child);
      const facts = readVectorFacts();
      const file = facts.commits['main-3'].objects.find(({ type }) => type === 'file')?.checksum as Checksum;
      expect(source.mode).toBe('bare-user-only');
      expect(await source.resolveRef('own')).toBe(C);
      expect(await source.resolveRef('nasty/x86_64/main')).toBe(MAIN);
      expect(await source.listRefs()).toEqual(new Map());
      expect((await source.fetchMetadata(MAIN, 'commit')).length).toBeGreaterThan(100);
      expect(await source.fetchDetachedMetadata(MAIN)).toBeInstanceOf(Uint8Array);
      // With the mode of the repository that has it.
      expect(await source.openFile(file)).toMatchObject({ form: 'local', mode: 'archive' });
      expect(await failureOf(source.openFile(C))).toBeInstanceOf(MissingObjectError);
    });

    test.each([
      ['itself', 'self', 'parent=../self', /circle/],
      ['nothing', 'orphan', 'parent=../nowhere', /no such directory/],
    ])('%s as parent is refused', async (_, name, line, message) => {
      const error = await failureOf(openSource(await makeRepo(name, line)));
      expect(error).toBeInstanceOf(RepositoryError);
      expect(error.message).toMatch(message);
    });

    test('circles and long chains are refused', async () => {
      await makeRepo('ring-2', 'parent=../ring-0');
      await makeRepo('ring-1', 'parent=../ring-2');
      expect((await failureOf(openSource(await makeRepo('ring-0', 'parent=../ring-1')))).message).toMatch(/circle/);
      await makeRepo('chain-0');
      for (let i = 1; i <= 10; i++) await makeRepo(`chain-${i}`, `parent=../chain-${i - 1}`);
      await using _ = await openSource(directory.join('chain-8'));
      expect((await failureOf(openSource(directory.join('chain-9')))).message).toMatch(/more than 8 parent/);
    });
  });

  test('an object that is hostile in its own mode: a symlink where regular files are kept', async () => {
    await using other = await makeTemporaryDirectory();
    await unpackVectorRepository('bare-user', other.path);
    const { objects } = readVectorFacts().commits['main-1'];
    const file = objects.find(({ type }) => type === 'file')?.checksum as Checksum;
    const path = other.join('objects', file.slice(0, 2), `${file.slice(2)}.file`);
    await rm(path);
    await symlink('/etc/passwd', path);
    await using source = await openSource(other.path);
    expect(await failureOf(source.openFile(file))).toBeInstanceOf(FormatError);
  });

  test('bare-split-xattrs without the xattrs of an object names what is missing', async () => {
    await using other = await makeTemporaryDirectory();
    await unpackVectorRepository('bare-split-xattrs', other.path);
    const { objects } = readVectorFacts().commits['main-1'];
    const file = objects.find(({ type }) => type === 'file')?.checksum as Checksum;
    await rm(other.join('objects', file.slice(0, 2), `${file.slice(2)}.file-xattrs-link`));
    await using source = await openSource(other.path);
    const error = await failureOf(source.openFile(file));
    expect(error).toBeInstanceOf(MissingObjectError);
    expect(error.where.object).toBe(`${file}.file-xattrs-link`);
  });
});

test('reading leaves the repository as it was', async () => {
  const repo = await vectorRepository('archive');
  const before = await readFile(`${repo}/config`, 'utf8');
  await using source = await openSource(repo);
  await source.resolveRef('nasty/x86_64/main');
  expect(await readFile(`${repo}/config`, 'utf8')).toBe(before);
});
