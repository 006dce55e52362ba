// `npm run bench`: sets up what is missing, then the comparison under the tree's Node. Arguments go to bench/run.ts.

import { join } from 'node:path';
import { runUnderTreeNode } from './run-under-tree-node.js';
import { root, setUpOrExit } from './setup.js';

setUpOrExit();
process.exitCode = await runUnderTreeNode([join(root, 'bench/run.ts'), ...process.argv.slice(2)]);
