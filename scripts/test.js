// `npm test`: sets up what is missing, then the tests under the tree's Node. Arguments go to vitest.

import { join } from 'node:path';
import { runUnderTreeNode } from './run-under-tree-node.js';
import { root, setUpOrExit } from './setup.js';

setUpOrExit();
const reporters = ['--reporter=default', `--reporter=${join(root, 'scripts/skip-reporter.js')}`];
process.exitCode = await runUnderTreeNode([
  join(root, 'node_modules/vitest/vitest.mjs'),
  'run',
  ...reporters,
  ...process.argv.slice(2),
]);
