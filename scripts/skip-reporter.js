// Reporter of vitest: after the run, what was skipped and which package would let it run.

export default class SkipReporter {
  onTestRunEnd(testModules) {
    const titlesByNote = new Map();
    for (const testModule of testModules) {
      for (const test of testModule.children.allTests('skipped')) {
        const note = test.result().note ?? 'no reason given';
        titlesByNote.set(note, [
          ...(titlesByNote.get(note) ?? []),
          test.parent.fullName ?? testModule.relativeModuleId,
        ]);
      }
    }
    if (titlesByNote.size === 0) return;
    process.stdout.write('\nSkipped tests:\n');
    for (const [note, titles] of titlesByNote)
      process.stdout.write(`  ${note}\n${titles.map((title) => `    ${title}\n`).join('')}`);
  }
}
