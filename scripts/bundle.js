// Bundles the command into a directory, for a quick start: each file that Node loads costs about half a millisecond, and so does
// each `import` of one of Node's own modules, for it reads every property and with that loads more of Node.
//
//   node scripts/bundle.js DIRECTORY

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

const BUILTIN_IMPORT = /^import (\w+|\{[^}]*\}) from 'node:([\w/]+)';$/gm;

/**
 * `import { a as b } from 'node:x'` becomes a look into that module. A default import becomes one where it is used: commander has
 * child processes for what we never ask of it.
 */
function takeBuiltinsDirectly(source) {
  const defaults = [];
  const rest = source.replace(BUILTIN_IMPORT, (_all, what, name) => {
    const builtin = `process.getBuiltinModule('node:${name}')`;
    if (what.startsWith('{'))
      return `const ${what.replaceAll(/\btype \w+,?/g, '').replaceAll(' as ', ': ')} = ${builtin};`;
    defaults.push({ use: new RegExp(`(?<![.\\w])${what}\\.`, 'g'), builtin });
    return '';
  });
  return defaults.reduce((text, { use, builtin }) => text.replaceAll(use, `${builtin}.`), rest);
}

const builtins = {
  name: "Node's own modules",
  setup: ({ onLoad }) =>
    onLoad({ filter: /\/(src|commander)\/.*\.[jt]s$/ }, ({ path }) => ({
      contents: takeBuiltinsDirectly(readFileSync(path, 'utf8')),
      loader: path.endsWith('.ts') ? 'ts' : 'js',
    })),
};

/** What the licences of the packages ask to be kept with their code. */
function notices(inputs) {
  const packages = new Set(inputs.flatMap((path) => path.match(/node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[1] ?? []));
  return [...packages].sort().map((name) => {
    const directory = join(root, 'node_modules', name);
    const { version } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));
    const file = readdirSync(directory).find((entry) => /^licen[cs]e/i.test(entry));
    if (file === undefined) throw new Error(`${name} comes without a licence text`);
    return `${name} ${version}\n\n${readFileSync(join(directory, file), 'utf8').trim()}\n`;
  });
}

const [directory] = process.argv.slice(2);

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

const MODULE_URL = "const moduleUrl = require('node:url').pathToFileURL(__filename).href;";

/** One file: what a command does not need is there, but neither compiled nor run. */
const bundle = (entryPoint, outfile, { define, banner, footer }) =>
  build({
    absWorkingDir: root,
    entryPoints: [entryPoint],
    outfile: join(directory, outfile),
    plugins: [builtins],
    bundle: true,
    format: 'cjs',
    platform: 'node',
    target: 'node22.19',
    external: ['fs-ext'], // undici is asked for at run time, by https alone
    define: {
      'import.meta.url': 'moduleUrl',
      'import.meta.dirname': '__dirname',
      PACKAGE_VERSION: JSON.stringify(version),
      ...define,
    },
    charset: 'ascii', // so that the start need not decode it
    banner: { js: banner },
    footer: { js: footer ?? '' },
    supported: { 'dynamic-import': false }, // `require` where the source has `import()`: that goes to files, at half the cost
    minifySyntax: true,
    minifyWhitespace: true, // names stay, for the reports of bugs
    legalComments: 'none', // they are in the notices
    metafile: true,
  });

// A script whose value is a function, for the start to load: not wrapped by Node, whose cache for compiled code is not used.
const program = await bundle('src/cli/main.ts', 'program.cjs', {
  banner: `(function (module, require, __filename) {${MODULE_URL}`,
  footer: '})',
});
const digest = createHash('sha256')
  .update(readFileSync(join(directory, 'program.cjs')))
  .digest('hex')
  .slice(0, 16);
const start = await bundle('src/cli/start.ts', 'start.cjs', {
  banner: MODULE_URL,
  define: { PROGRAM_DIGEST: JSON.stringify(digest) },
});
const inputs = [program, start].flatMap(({ metafile }) => Object.keys(metafile.inputs));
writeFileSync(join(directory, 'THIRD-PARTY-NOTICES.txt'), notices(inputs).join('\n---\n\n'));
