#!/usr/bin/env node
// Old syntax only, and nothing imported before the check: a Node that is too old must get as far as saying so.

var parts = process.versions.node.split('.');
var major = Number(parts[0]);
var minor = Number(parts[1]);

if (major < 22 || (major === 22 && minor < 19)) {
  process.stderr.write('cfs-ostree needs Node.js 22.19 or newer; this is ' + process.versions.node + '\n');
  process.exitCode = 2;
} else {
  // `require`: an `import()` of the bundle would be read twice.
  process.getBuiltinModule('node:module').createRequire(import.meta.url)('../program/start.cjs');
}
