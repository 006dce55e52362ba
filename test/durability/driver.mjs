// One operation of the built library, in a process that tests kill or whose system calls they make fail.
//
//   node driver.mjs '{"operation":"pull","repo":…,"location":…,"wanted":[…],"options":{…},"askedFile":…}'
//
// Says `ready` when the repository is open, then the report as JSON; an error and its exit status are as on the command line.

import { openSync, writeSync } from 'node:fs';
import { explainFailure, failureAsJson } from '../../dist/cli/errors.js';
import { collectGarbage, createImage, openRepository, openSource, pull, resolveCommit } from '../../dist/index.js';

const job = JSON.parse(process.argv[2]);

/** Writes down what is asked of the source, before it is: the request happened even if we are killed in it. */
function recordRequests(source, file) {
  const fd = openSync(file, 'a');
  for (const method of ['fetchMetadata', 'openFile']) {
    const original = source[method].bind(source);
    source[method] = (checksum, ...rest) => {
      writeSync(fd, `${checksum}\n`);
      return original(checksum, ...rest);
    };
  }
}

const OPERATIONS = {
  async pull(repo, { location, wanted, options, askedFile, jobs }) {
    await using source = await openSource(location, { jobs, retries: 0 });
    if (askedFile !== undefined) recordRequests(source, askedFile);
    return await pull(repo, source, wanted, { ...options, jobs });
  },
  async createImage(repo, { commit, options }) {
    const { bytes, ...report } = await createImage(repo, { commit: await resolveCommit(repo, commit) }, options);
    return report;
  },
  gc: (repo, { options }) => collectGarbage(repo, options),
};

try {
  const lock = job.operation === 'gc' ? 'exclusive' : 'shared';
  await using repo = await openRepository(job.repo, { lock, write: true });
  process.stdout.write('ready\n');
  const report = await OPERATIONS[job.operation](repo, job);
  process.stdout.write(`${JSON.stringify(report)}\n`);
} catch (error) {
  const failure = explainFailure(error);
  process.stderr.write(failureAsJson(failure));
  process.exitCode = failure.exitCode;
}
