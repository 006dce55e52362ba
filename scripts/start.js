// `npm start`: sets up what is missing, then the demo; `npm start -- COMMAND …`: any command.

import { join } from 'node:path';
import { runUnderTreeNode } from './run-under-tree-node.js';
import { root, setUpOrExit } from './setup.js';

setUpOrExit();
const args = process.argv.slice(2);
process.exitCode = await runUnderTreeNode([join(root, 'bin/cfs-ostree.js'), ...(args.length === 0 ? ['demo'] : args)]);
