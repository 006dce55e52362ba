/** What our program and cfsctl both pull: the awkward tree as far as both can make all three image versions of it. */

import { cp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Checksum } from '../../src/formats/ids.ts';
import { tryCfsctl } from '../support/cfsctl.ts';
import { runOstree } from '../support/chroot.ts';
import { OS_TREE_PEERS, osTree } from '../support/os-tree.ts';
import type { PeerName } from '../support/peers.ts';
import { expectSuccess, runChecked } from '../support/run-command.ts';
import { sharedFixture } from '../support/run-directory.ts';

/** What `describeWithPeers` needs for it. */
export const CFSCTL_PEERS = [...OS_TREE_PEERS, 'nginx', 'cfsctl'] as const satisfies PeerName[];

export const LINE_REF = 'line/main';
export const DRESSED_REF = 'dressed';

export interface CfsctlSource {
  /** Archive repository. */
  path: string;
  /** Three commits of LINE_REF, oldest first: no xattrs, hence the same images from both programs. */
  line: [Checksum, Checksum, Checksum];
  /** The tree of the last one with its xattrs. */
  dressed: Checksum;
}

export const cfsctlSource = (): Promise<CfsctlSource> =>
  sharedFixture('interop-cfsctl-source', async (directory) => {
    const { tree: awkwardTree } = await osTree();
    const [path, tree] = [join(directory, 'archive'), join(directory, 'tree')];
    await runChecked('cp', ['-al', awkwardTree, tree]);
    for (const target of ['3900', '4095']) await rm(join(tree, 'symlinks', target)); // version 2: at most 1024 bytes
    await rm(join(tree, 'xattrs/long-name')); // its NUL would be byte 256 of the name
    // With the NUL behind them cfsctl still takes these for ACLs, mkcomposefs and we do not: another flag in versions 0 and 1.
    for (const name of ['acl', 'acl-directory']) await rm(join(tree, 'xattrs', name), { recursive: true });
    await runOstree(['init', `--repo=${path}`, '--mode=archive']);
    await runOstree(['config', `--repo=${path}`, 'set', 'core.fsync', 'false']);
    const commit = async (ref: string, ...options: string[]): Promise<Checksum> => {
      const args = ['commit', `--repo=${path}`, `--branch=${ref}`, `--tree=dir=${tree}`, '--timestamp=@1700000000'];
      return (await runOstree([...args, ...options])).stdout.trim() as Checksum;
    };
    const first = await commit(LINE_REF, '--no-xattrs', '--subject=First');
    await writeFile(join(tree, 'added'), Buffer.alloc(10_000, 'added\n'));
    const second = await commit(LINE_REF, '--no-xattrs', '--subject=Second', '--body=With a body.');
    await cp(join(tree, 'added'), join(tree, 'change/added-too'));
    await writeFile(join(tree, 'many/one-more'), 'x');
    const third = await commit(LINE_REF, '--no-xattrs', '--add-metadata-string=version=3');
    return { path, line: [first, second, third], dressed: await commit(DRESSED_REF) };
  });

/** A repository that cfsctl looks after. */
export class CfsctlRepository {
  readonly path: string;
  constructor(path: string) {
    this.path = path;
  }

  static async init(path: string, { algorithm = 'sha512', erofsVersion = 1 } = {}): Promise<CfsctlRepository> {
    const options = ['--insecure', '--algorithm', `fsverity-${algorithm}-12`, '--erofs-version', `${erofsVersion}`];
    const repository = new CfsctlRepository(path);
    expectSuccess('cfsctl init', await tryCfsctl(['init', ...options, path]));
    return repository;
  }

  /** What it prints; rejects unless the exit status is 0. */
  async run(...args: string[]): Promise<Buffer> {
    const result = await tryCfsctl(['--repo', this.path, ...args]);
    return expectSuccess(['cfsctl', ...args].join(' '), result).stdoutBytes;
  }

  async lines(...args: string[]): Promise<string[]> {
    return (await this.run(...args)).toString().trimEnd().split('\n');
  }

  /** Of a path or a URL. */
  async pull(source: string, wanted: string, ...options: string[]): Promise<Record<'commit' | 'image', string>> {
    const command = source.startsWith('http') ? 'pull' : 'pull-local';
    const lines = await this.lines('ostree', command, source, wanted, ...options);
    return Object.fromEntries(lines.map((line) => line.split(/\s+/).slice(0, 2))) as Record<'commit' | 'image', string>;
  }

  /** Findings of its own fsck; its exit status says nothing with --json. */
  async problems(): Promise<string[]> {
    const { ok, errors } = JSON.parse((await this.run('fsck', '--json')).toString()) as {
      ok: boolean;
      errors: string[];
    };
    return ok ? errors : [...errors, 'not ok'];
  }
}
