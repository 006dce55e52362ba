// Runs a program in the foreground as if it were this process: same terminal, signals passed on, same end.

import { spawn } from 'node:child_process';
import { treeNode } from './setup.js';

/** @returns what the program ended with; a signal that killed it kills this process too */
export function runUnderTreeNode(args) {
  const child = spawn(treeNode, args, { stdio: 'inherit' });
  const forwarded = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  // A terminal sends INT to the whole group as well; the program takes two that come together for one.
  for (const signal of forwarded) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      if (signal === null) return resolve(code);
      for (const name of forwarded) process.removeAllListeners(name);
      process.kill(process.pid, signal);
    });
  });
}
