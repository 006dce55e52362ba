/**
 * `meta.json`: what a repository is and what one must know to use it. doc/formats/repository-meta.md.
 * Source: composefs-rs 0.9, `crates/composefs/src/repository.rs`.
 */

import { FormatError, LimitError, RepositoryError, type Where } from '../errors.ts';
import type { Algorithm } from './ids.ts';
import { type JsonObject, type JsonValue, parseStrictJson } from './strict-json.ts';

/** The only layout there is; 0 is read too, as composefs-rs does. */
export const REPOSITORY_VERSION = 1;
/** Real ones have about 220. */
export const MAX_META_BYTES = 1024 * 1024;
/** In `read-only-compatible`: images are written in EROFS version 1. */
export const FEATURE_V1_EROFS = 'v1_erofs';
const KNOWN_READ_ONLY_COMPATIBLE = [FEATURE_V1_EROFS];
const ALGORITHMS = new Map<string, Algorithm>([
  ['fsverity-sha256-12', 'sha256'],
  ['fsverity-sha512-12', 'sha512'],
]);
const MAX_U32 = 2 ** 32 - 1;

export type ErofsVersion = 0 | 1 | 2;

/** EROFS versions of the images of a commit. */
export interface ErofsVersions {
  default: ErofsVersion;
  /** Ascending, without the default. */
  extra: ErofsVersion[];
}

export interface RepositoryMeta {
  version: number;
  algorithm: Algorithm;
  /** Also names that we do not know. */
  features: { compatible: string[]; readOnlyCompatible: string[]; incompatible: string[] };
  /** As effective, the feature flag considered. */
  erofs: ErofsVersions;
}

/**
 * Keys that we do not know are ignored, known ones are taken strictly.
 * @throws FormatError on damage; RepositoryError for a newer layout or another algorithm than ours
 */
export function parseRepositoryMeta(bytes: Uint8Array, where: Where = {}): RepositoryMeta {
  if (bytes.length > MAX_META_BYTES)
    throw new LimitError(`${bytes.length} bytes, at most ${MAX_META_BYTES} are accepted`, where);
  const reader = new MetaReader(where);
  const root = reader.object('', parseStrictJson(bytes, where));
  const version = reader.integer('version', root.get('version'), MAX_U32);
  if (version > REPOSITORY_VERSION)
    throw new RepositoryError(`layout version ${version} is newer than ${REPOSITORY_VERSION}, which we know`, where);
  const algorithmText = reader.string('algorithm', root.get('algorithm'));
  const algorithm = ALGORITHMS.get(algorithmText);
  if (algorithm === undefined)
    throw new RepositoryError(`algorithm ${JSON.stringify(algorithmText)} is not supported`, where);
  const lists = root.has('features') ? reader.object('features', root.get('features')) : new Map();
  const features = {
    compatible: reader.strings(lists, 'compatible'),
    readOnlyCompatible: reader.strings(lists, 'read-only-compatible'),
    incompatible: reader.strings(lists, 'incompatible'),
  };
  const written = root.has('erofs_formats') ? reader.erofs(root.get('erofs_formats')) : undefined;
  return { version, algorithm, features, erofs: effectiveErofs(written, features.readOnlyCompatible) };
}

/** `extra` as it is written: with the default and repetitions, if somebody put them there. */
function effectiveErofs(written: ErofsVersions | undefined, readOnlyCompatible: readonly string[]): ErofsVersions {
  // {"default": 2} alone is what a repository without the key means, so there the flag decides
  if (written === undefined || (written.default === 2 && written.extra.length === 0))
    return { default: readOnlyCompatible.includes(FEATURE_V1_EROFS) ? 1 : 2, extra: [] };
  const extra = [...new Set(written.extra)].filter((version) => version !== written.default);
  return { default: written.default, extra: extra.sort() };
}

/**
 * What may be done with a repository.
 * @throws RepositoryError that names them, when there are incompatible features that we do not know
 */
export function checkFeatures(meta: RepositoryMeta, where: Where = {}): 'read-write' | 'read-only' {
  const { incompatible, readOnlyCompatible } = meta.features;
  if (incompatible.length > 0) {
    const names = incompatible.map((name) => JSON.stringify(name)).join(', ');
    throw new RepositoryError(`needs features that we do not know: ${names}`, where);
  }
  return readOnlyCompatible.every((name) => KNOWN_READ_ONLY_COMPATIBLE.includes(name)) ? 'read-write' : 'read-only';
}

/** The bytes of a new `meta.json`, exactly as composefs-rs 0.9 writes them. */
export function serializeRepositoryMeta(meta: { algorithm: Algorithm; erofs: ErofsVersions }): Uint8Array {
  const { algorithm, erofs } = meta;
  const extra = erofs.extra.filter((version) => version !== erofs.default).sort();
  const document = {
    version: REPOSITORY_VERSION,
    algorithm: `fsverity-${algorithm}-12`,
    features: {
      compatible: [],
      'read-only-compatible': erofs.default === 1 ? [FEATURE_V1_EROFS] : [],
      incompatible: [],
    },
    erofs_formats: { default: erofs.default, ...(extra.length > 0 && { extra }) },
  };
  return new TextEncoder().encode(`${JSON.stringify(document, undefined, 2)}\n`);
}

/** Takes values apart; every error names its key. */
class MetaReader {
  readonly #where: Where;
  constructor(where: Where) {
    this.#where = where;
  }

  object(field: string, value: JsonValue | undefined): JsonObject {
    return value instanceof Map ? value : this.#fail(field, 'an object');
  }

  string(field: string, value: JsonValue | undefined): string {
    return typeof value === 'string' ? value : this.#fail(field, 'a string');
  }

  integer(field: string, value: JsonValue | undefined, max: number): number {
    const text = typeof value === 'object' && value !== null && 'number' in value ? value.number : '';
    return /^[0-9]+$/.test(text) && Number(text) <= max
      ? Number(text)
      : this.#fail(field, `an integer from 0 to ${max}`);
  }

  strings(lists: JsonObject, key: string): string[] {
    if (!lists.has(key)) return [];
    return this.#array(`features.${key}`, lists.get(key)).map((value) => this.string(`features.${key}`, value));
  }

  erofs(value: JsonValue | undefined): ErofsVersions {
    const formats = this.object('erofs_formats', value);
    const version = (field: string, number: JsonValue | undefined) => this.integer(field, number, 2) as ErofsVersion;
    const extra = formats.has('extra') ? this.#array('erofs_formats.extra', formats.get('extra')) : [];
    return {
      default: version('erofs_formats.default', formats.get('default')),
      extra: extra.map((number) => version('erofs_formats.extra', number)),
    };
  }

  #array(field: string, value: JsonValue | undefined): JsonValue[] {
    return Array.isArray(value) ? value : this.#fail(field, 'an array');
  }

  #fail(field: string, expected: string): never {
    throw new FormatError(`is missing or not ${expected}`, { ...this.#where, format: 'meta.json', field });
  }
}
