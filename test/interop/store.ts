/** Our repositories as a user makes them: with the built program. */

import type { Checksum, ObjectId } from '../../src/formats/ids.ts';
import { runCli, runCliJson } from '../cli/run-cli.ts';

export type Algorithm = 'sha256' | 'sha512';

export interface PullResult {
  ref?: string;
  commit: Checksum;
  streamId: ObjectId;
  image?: ObjectId;
  upToDate: boolean;
  base: Checksum[];
  fetched: { metadata: number; files: number };
  reused: { metadata: number; files: number };
  elapsedMs: number;
  digest?: 'match' | 'absent';
}

export interface ExportReport {
  refs: Array<{ ref: string; commit: Checksum }>;
  written: number;
  present: number;
  bytesWritten: number;
}

export interface FsckReport {
  ok: boolean;
  objectsChecked: number;
  findings: Array<{ severity: string; kind: string; subject: string }>;
}

/** A repository without fs-verity, and the commands on it. */
export class Store {
  readonly path: string;
  constructor(path: string) {
    this.path = path;
  }

  static async init(path: string, { algorithm = 'sha256' as Algorithm, erofsVersion = 1 } = {}): Promise<Store> {
    const options = ['--insecure', '--algorithm', `fsverity-${algorithm}-12`, '--erofs-version', `${erofsVersion}`];
    await runCliJson(['init', ...options, path]);
    return new Store(path);
  }

  json<T>(command: string, ...args: string[]): Promise<T> {
    return runCliJson<T>([command, '--repo', this.path, ...args]);
  }

  /** Of one ref or commit. */
  async pull(source: string, wanted: string, ...options: string[]): Promise<PullResult> {
    const { results } = await this.json<{ results: PullResult[] }>('pull', source, wanted, ...options);
    return results[0];
  }

  commit(...args: string[]): Promise<{ commit: Checksum; parent?: Checksum }> {
    return this.json('commit', ...args);
  }

  export(directory: string, refs: string[], ...options: string[]): Promise<ExportReport> {
    return this.json('export', ...refs, directory, ...options);
  }

  /** The dumpfile of a tree. */
  async dump(tree: string): Promise<Buffer> {
    const { exitCode, stdoutBytes, stderr } = await runCli(['dump', '--repo', this.path, tree]);
    if (exitCode !== 0) throw new Error(`dump ${tree}: exit status ${exitCode}\n${stderr}`);
    return stdoutBytes;
  }

  /** An image written to `file` instead of the repository. */
  async image(
    tree: string,
    file: string,
    erofsVersion: number | 'auto',
  ): Promise<{ image: ObjectId; erofsVersion: number }> {
    return this.json('create-image', tree, '--erofs-version', `${erofsVersion}`, '--output', file);
  }

  /** What fsck finds, warnings included. */
  async findings(): Promise<string[]> {
    const { findings } = await this.#fsck();
    return findings.map(({ severity, kind, subject }) => `${severity} ${kind} ${subject}`);
  }

  /** Without the warnings: those that make the repository unsound. */
  async problems(): Promise<string[]> {
    return (await this.findings()).filter((finding) => finding.startsWith('error'));
  }

  async #fsck(): Promise<FsckReport> {
    const { exitCode, stdout, stderr } = await runCli(['fsck', '--json', '--repo', this.path]);
    if (exitCode !== 0 && exitCode !== 3) throw new Error(`fsck: exit status ${exitCode}\n${stderr}`);
    return JSON.parse(stdout) as FsckReport;
  }
}
