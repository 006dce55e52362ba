/** The house rules that a program can check: which way the arrows point, what `formats` may stand on, how long a file may be. */

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

const SRC = resolve(import.meta.dirname, '../src');
const BENCH = resolve(import.meta.dirname, '../bench');
const MAX_FILE_LINES = 500;

/** Each folder may import itself, what is named here, and the leaves. */
const ALLOWED: Record<string, string[]> = {
  cli: ['operations', 'store', 'sources', 'formats'],
  operations: ['store', 'sources', 'formats'],
  store: ['formats'],
  sources: ['formats'],
  formats: [],
};
const LEAVES = ['errors.ts', 'progress.ts', 'native.ts', 'version.ts', 'monotonic-time.ts'];
/** The library's entry points stand above the operations. */
const ENTRY_POINTS = ['index.ts'];
const FORMATS_PACKAGES = ['@noble/hashes', 'fflate'];
/** Static and lazy imports, re-exports. */
const IMPORT = /(?:^|[^.\w])(?:import|export)\s[^'";]*?from\s+'([^']+)'|(?:^|[^.\w])import\s*\(?\s*'([^']+)'/gm;

interface SourceFile {
  /** Relative to src. */
  path: string;
  lines: number;
  text: string;
  imports: string[];
}

const listFiles = (directory: string): SourceFile[] =>
  readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .sort()
    .map((path) => {
      const text = readFileSync(join(directory, path), 'utf8');
      return { path, text, lines: text.split('\n').length - 1, imports: importsOf(text) };
    });

const files = listFiles(SRC);
const benchFiles = listFiles(BENCH);

function importsOf(text: string): string[] {
  const code = text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/^\s*\/\/.*$/gm, '');
  return [...code.matchAll(IMPORT)].map(([, from, bare]) => from ?? bare);
}

/** `formats` for formats/ostree/commit.ts, `errors.ts` for a file in src itself. */
const folderOf = (path: string): string => path.split('/')[0];

function violationsOf({ path, imports }: SourceFile): string[] {
  const folder = folderOf(path);
  const problems: string[] = [];
  for (const specifier of imports) {
    const refuse = (why: string) => problems.push(`${path} imports ${specifier}: ${why}`);
    if (!specifier.startsWith('.')) {
      if (
        folder === 'formats' &&
        !FORMATS_PACKAGES.some((name) => specifier === name || specifier.startsWith(`${name}/`))
      )
        refuse('formats is pure');
      continue;
    }
    const target = relative(SRC, resolve(SRC, dirname(path), specifier));
    const targetFolder = folderOf(target);
    if (target.startsWith('..')) {
      if (path !== 'native.ts') refuse('only native.ts leaves src');
    } else if (LEAVES.includes(target)) {
      if (folder === 'formats' && target !== 'errors.ts') refuse('formats stands on errors.ts alone');
    } else if (LEAVES.includes(path) && targetFolder !== 'formats') refuse('a leaf stands on nothing but formats');
    else if (folder in ALLOWED && folder !== targetFolder && !ALLOWED[folder].includes(targetFolder))
      refuse(`an arrow from ${folder} to ${targetFolder}`);
    else if (!(folder in ALLOWED) && !LEAVES.includes(path) && !ENTRY_POINTS.includes(path))
      refuse('an unknown folder');
  }
  return problems;
}

describe('the arrows cli → operations → store, sources → formats', () => {
  test('hold for every import in src', () => {
    expect(files.length).toBeGreaterThan(20);
    expect(files.flatMap(violationsOf)).toEqual([]);
  });

  test.each([
    ['an arrow back', 'store/x.ts', "import { pull } from '../operations/pull.ts';"],
    ['sources beside store', 'sources/x.ts', "import type { Repository } from '../store/repository.ts';"],
    ['Node in formats', 'formats/x.ts', "import { createHash } from 'node:crypto';"],
    ['a package in formats', 'formats/x.ts', "import { request } from 'undici';"],
    ['a lazy import in formats', 'formats/x.ts', "const { read } = await import('../native.ts');"],
    ['an import of several lines', 'store/x.ts', "import {\n  a,\n  b,\n} from '../cli/main.ts';"],
    ['a re-export', 'operations/x.ts', "export { main } from '../cli/main.ts';"],
    ['a bare import', 'formats/x.ts', "import 'node:fs';"],
    ['a way out of src', 'store/x.ts', "import x from '../../native/index.js';"],
    ['a leaf with roots', 'errors.ts', "import { a } from './store/repository.ts';"],
  ])('are checked: %s is found', (_title, path, text) => {
    expect(violationsOf({ path, text, lines: 1, imports: importsOf(text) })).toHaveLength(1);
  });

  test('native.ts alone loads the addon', () => {
    const loaders = files
      .filter(({ text }) => /require\([^)]*\.node['"]|process\.dlopen/.test(text))
      .map(({ path }) => path);
    expect(loaders.filter((path) => path !== 'native.ts')).toEqual([]);
  });

  test('formats uses no Node global', () => {
    const users = files.filter(
      ({ path, text }) => folderOf(path) === 'formats' && /\b(Buffer|process|require)\s*[.(]/.test(text),
    );
    expect(users.map(({ path }) => path)).toEqual([]);
  });
});

/** Files that import each other, directly or around several corners, types included: each such circle as a list. */
function circlesOf(all: SourceFile[], root: string): string[] {
  const targets = new Map(
    all.map(({ path, imports }) => [
      path,
      imports
        .filter((specifier) => specifier.startsWith('.'))
        .map((specifier) => relative(root, resolve(root, dirname(path), specifier))),
    ]),
  );
  const circles: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, way: string[]): void => {
    if (way.includes(path)) circles.push([...way.slice(way.indexOf(path)), path].join(' → '));
    if (way.includes(path) || done.has(path)) return;
    for (const target of targets.get(path) ?? []) visit(target, [...way, path]);
    done.add(path);
  };
  for (const path of targets.keys()) visit(path, []);
  return circles;
}

describe('files do not import each other in a circle', () => {
  test.each([
    ['src', files, SRC],
    ['bench', benchFiles, BENCH],
  ])('in %s', (_name, all, root) => {
    expect(circlesOf(all, root)).toEqual([]);
  });

  test('a circle is found', () => {
    const file = (path: string, text: string): SourceFile => ({ path, text, lines: 1, imports: importsOf(text) });
    const all = [
      file('store/a.ts', "import { b } from './b.ts';"),
      file('store/b.ts', "import type { C } from '../formats/c.ts';"),
      file('formats/c.ts', "const a = await import('../store/a.ts');"),
      file('formats/d.ts', "import { a } from '../store/a.ts';"),
    ];
    expect(circlesOf(all, SRC)).toEqual(['store/a.ts → store/b.ts → formats/c.ts → store/a.ts']);
  });
});

describe('the bench', () => {
  test('measures the program from outside: of src it knows the formats, to make data', () => {
    const reached = benchFiles.flatMap(({ path, imports }) =>
      imports
        .filter((specifier) => specifier.startsWith('.'))
        .map((specifier) => relative(BENCH, resolve(BENCH, dirname(path), specifier)))
        .filter((target) => target.startsWith('..')),
    );
    expect(reached.length).toBeGreaterThan(5);
    const allowed = /^\.\.\/(src\/formats|test\/support)\//;
    expect(reached.filter((target) => !allowed.test(target))).toEqual([]);
  });
});

describe('files', () => {
  const allFiles = [...files, ...benchFiles];

  test(`have at most ${MAX_FILE_LINES} lines`, () => {
    expect(
      allFiles.filter(({ lines }) => lines > MAX_FILE_LINES).map(({ path, lines }) => `${path}: ${lines}`),
    ).toEqual([]);
  });

  test('are named by their subject, in kebab case', () => {
    const badName = ({ path }: SourceFile) =>
      !/^([a-z0-9-]+\/)*[a-z0-9-]+(\.d)?\.ts$/.test(path) ||
      /(^|[/-])(utils?|helpers?|misc|common)([.-]|\/)/.test(path);
    expect(allFiles.filter(badName).map(({ path }) => path)).toEqual([]);
  });
});
