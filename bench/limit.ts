/** The limit program (limit.cc), compiled for this machine when it is first needed. */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runOstree } from '../test/support/chroot.ts';
import { getPeer } from '../test/support/peers.ts';
import { runCommand } from '../test/support/run-command.ts';
import { archiveOf, type Fixture } from './fixture.ts';
import { type Contestant, UnavailableError } from './operation.ts';
import { inChroot, inTree } from './programs.ts';

const COMPILE = ['-O2', '-std=c++17', '-Wall', '-Wextra', '-pthread'];
/** The quicker way to inflate first. */
const LIBRARIES = [
  ['-DLIMIT_LIBDEFLATE', '-ldeflate', '-lcrypto'],
  ['-lz', '-lcrypto'],
];

/** What the machine can do at best: the work that nobody can leave out, in C++, with two threads. */
export const LIMIT_PROGRAM: Contestant = {
  label: 'limit program',
  needs: ['g++'],
  async prepare({ fixture, stores }) {
    const directory = await stores.keep('limit program', async () => {
      const path = stores.path();
      await mkdir(path);
      await compile(join(path, 'limit'));
      await writeFile(join(path, 'checksums'), await listChecksums(fixture));
      return path;
    });
    const objects = join(archiveOf(fixture), 'objects');
    return [{ args: [join(directory, 'limit'), objects, stores.path(), join(directory, 'checksums')] }];
  },
};

async function compile(program: string): Promise<void> {
  let problem = '';
  for (const libraries of LIBRARIES) {
    const { exitCode, stderr } = await runCommand(getPeer('g++'), [
      ...[...COMPILE, inTree('bench/limit.cc'), '-o', program],
      ...libraries,
    ]);
    if (exitCode === 0) return;
    problem = stderr;
  }
  throw new UnavailableError(
    `the limit program needs the headers of OpenSSL and zlib (Debian packages libssl-dev, zlib1g-dev): ${problem.split('\n')[0]}`,
  );
}

/** Checksums of the base commit's file objects, one a line. */
async function listChecksums(fixture: Fixture): Promise<string> {
  const { stdout } = await runOstree([
    ...[`--repo=${inChroot(archiveOf(fixture))}`, 'ls', '--recursive', '--checksum', fixture.base.ref],
  ]);
  const checksums = stdout.matchAll(/^[-l].*? ([0-9a-f]{64}) \//gm);
  return [...new Set([...checksums].map(([, checksum]) => checksum))].map((checksum) => `${checksum}\n`).join('');
}
