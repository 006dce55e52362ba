/** The `config` of an ostree repository. What it must hold to be opened: doc/formats/ostree-objects.md. */

import { FormatError, LimitError, type Where } from '../../errors.ts';
import type { RepositoryMode } from '../file-body.ts';
import { booleanValue, type KeyFile, parseKeyFile, stringValue } from './key-file.ts';
import { MAX_CONFIG_BYTES } from './limits.ts';

export { type KeyFile, parseKeyFile } from './key-file.ts';

export interface RepoConfig {
  mode: RepositoryMode;
  /** Collection that this repository is the origin of. */
  collectionId?: string;
  /** Path of another repository that has what this one lacks. */
  parent?: string;
  /** false: take no locks. */
  locking: boolean;
  /** Seconds to wait for a lock; -1 waits for ever. */
  lockTimeoutSeconds: number;
  /** true: xattrs of bare objects read as none. */
  disableXattrs: boolean;
  /** Keys of each `[remote "NAME"]` by NAME, values as written. */
  remotes: Map<string, Map<string, string>>;
}

const MODES = new Map<string, RepositoryMode>([
  ['bare', 'bare'],
  ['bare-user', 'bare-user'],
  ['bare-user-only', 'bare-user-only'],
  ['bare-split-xattrs', 'bare-split-xattrs'],
  ['archive', 'archive'],
  ['archive-z2', 'archive'],
]);
/** Read as booleans when ostree opens a repository, so that another word makes it unusable there. */
const BOOLEANS = [
  'archive',
  'fsync',
  'per-object-fsync',
  'disable-xattrs',
  'enable-uncompressed-cache',
  'locking',
  'add-remotes-config-dir',
  'tombstone-commits',
  'auto-update-summary',
  'commit-update-summary',
  'no-deltas-in-summary',
  'indexed-deltas',
  'sign-verify-deltas',
];
const REPO_FINDERS = ['config', 'lan', 'mount'];
const TRI_STATES = ['yes', 'no', 'maybe', 'true', 'false', '1', '0'];
const REMOTE_GROUP = /^remote "(.+)"$/;
const MAX_COLLECTION_ID_BYTES = 255; // of a D-Bus interface name
const COLLECTION_ID = /^[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)+$/;
const DEFAULT_LOCK_TIMEOUT_SECONDS = 300;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** @throws FormatError when ostree would refuse to open a repository with this `config`; LimitError above MAX_CONFIG_BYTES */
export function parseRepoConfig(bytes: Uint8Array, where: Where = {}): RepoConfig {
  const at = { ...where, format: 'repository config' };
  if (bytes.length > MAX_CONFIG_BYTES) throw new LimitError(`larger than ${MAX_CONFIG_BYTES} bytes`, at);
  const keyFile = parseKeyFile(decodeText(bytes, at), at);
  const core = new Group(keyFile, 'core', at);
  const version = core.string('repo_version');
  if (version !== '1')
    core.fail('repo_version', version === undefined ? 'is missing' : `${JSON.stringify(version)} is not 1`);
  for (const key of BOOLEANS) core.boolean(key);
  if (core.boolean('archive')) core.fail('archive', 'is obsolete');
  requireFreeSpace(core);
  requireRepoFinders(core);
  const integrity = new Group(keyFile, 'ex-integrity', at);
  for (const key of ['fsverity', 'composefs']) integrity.oneOf(key, TRI_STATES);
  const modeName = core.string('mode') ?? 'bare';
  const mode = MODES.get(modeName) ?? core.fail('mode', `${JSON.stringify(modeName)} is no repository mode`);
  const collectionId = core.string('collection-id');
  if (collectionId !== undefined && !isCollectionId(collectionId))
    core.fail('collection-id', `${JSON.stringify(collectionId)} is no collection id`);
  const lockTimeout = core.string('lock-timeout-secs')?.trim() ?? `${DEFAULT_LOCK_TIMEOUT_SECONDS}`;
  if (!/^(?:-1|\d{1,9})$/.test(lockTimeout))
    core.fail('lock-timeout-secs', `${JSON.stringify(lockTimeout)} is no number of seconds`);
  const parent = core.string('parent');
  return {
    mode,
    ...(collectionId !== undefined && { collectionId }),
    ...(parent !== undefined && { parent }),
    locking: core.boolean('locking') ?? true,
    lockTimeoutSeconds: Number(lockTimeout),
    disableXattrs: core.boolean('disable-xattrs') ?? false,
    remotes: remotesOf(keyFile),
  };
}

/** Two or more elements of letters, digits and `_` joined by `.`: a D-Bus interface name. */
export const isCollectionId = (text: string): boolean =>
  text.length <= MAX_COLLECTION_ID_BYTES && COLLECTION_ID.test(text);

/** Values of one group, by their type; an absent group has none. */
class Group {
  readonly #name: string;
  readonly #values: Map<string, string> | undefined;
  readonly #where: Where;

  constructor(keyFile: KeyFile, name: string, where: Where) {
    this.#name = name;
    this.#values = keyFile.get(name);
    this.#where = where;
  }

  string(key: string): string | undefined {
    const value = this.#values?.get(key);
    return value === undefined ? undefined : stringValue(value, this.#at(key));
  }
  boolean(key: string): boolean | undefined {
    const value = this.#values?.get(key);
    return value === undefined ? undefined : booleanValue(value, this.#at(key));
  }
  oneOf(key: string, words: readonly string[]): void {
    const value = this.string(key);
    if (value !== undefined && !words.includes(value))
      this.fail(key, `${JSON.stringify(value)} is none of ${words.join(', ')}`);
  }
  fail(key: string, problem: string): never {
    throw new FormatError(problem, this.#at(key));
  }
  #at(key: string): Where {
    return { ...this.#where, field: `${this.#name}.${key}` };
  }
}

function decodeText(bytes: Uint8Array, where: Where): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new FormatError('not UTF-8', where, { cause });
  }
}

function requireFreeSpace(core: Group): void {
  const percent = core.string('min-free-space-percent');
  if (percent !== undefined && !/^\d{1,2}$/.test(percent))
    core.fail('min-free-space-percent', `${JSON.stringify(percent)} is no percentage below 100`);
  const size = core.string('min-free-space-size');
  if (size !== undefined && !/^\d+(?:MB|GB|TB)$/.test(size))
    core.fail('min-free-space-size', `${JSON.stringify(size)} is no number of MB, GB or TB`);
}

function requireRepoFinders(core: Group): void {
  const list = core.string('default-repo-finders');
  if (list === undefined) return;
  const words = list.replace(/;$/, '').split(';');
  for (const word of words)
    if (!REPO_FINDERS.includes(word))
      core.fail('default-repo-finders', `${JSON.stringify(word)} is none of ${REPO_FINDERS.join(', ')}`);
}

function remotesOf(keyFile: KeyFile): Map<string, Map<string, string>> {
  const remotes = new Map<string, Map<string, string>>();
  for (const [group, values] of keyFile) {
    const name = REMOTE_GROUP.exec(group)?.[1];
    if (name !== undefined) remotes.set(name, values);
  }
  return remotes;
}
