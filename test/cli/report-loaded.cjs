// For `node --require`: tells at the end, in the last line of stderr, what was loaded.

process.once('exit', () => {
  const builtins = process.moduleLoadList.flatMap((entry) => entry.match(/^NativeModule (.*)/)?.[1] ?? []);
  const files = Object.keys(require.cache).filter((path) => path !== __filename);
  process.getBuiltinModule('node:fs').writeSync(2, `\n${JSON.stringify({ files, builtins })}\n`);
});
