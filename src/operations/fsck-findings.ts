/** What a check found, and which refs it concerns. */

import type { ObjectId } from '../formats/ids.ts';
import { ostreeRefOfPath } from '../store/ostree-refs.ts';

/** As composefs-rs 0.9 names them, and some of our own (doc/exit-codes.md). */
export type FindingKind =
  | 'metadata-parse-failed'
  | 'metadata-incompatible'
  | 'unexpected-name'
  | 'unexpected-file-type'
  | 'leftover-temporary'
  | 'object-invalid-name'
  | 'object-open-failed'
  | 'object-digest-mismatch'
  | 'object-verity-failed'
  | 'object-verity-missing'
  | 'entry-not-symlink'
  | 'bad-link-target'
  | 'broken-symlink'
  | 'stat-failed'
  | 'stream-open-failed'
  | 'stream-read-failed'
  | 'stream-content-mismatch'
  | 'missing-object-ref'
  | 'missing-named-ref'
  | 'image-link-mismatch'
  | 'image-open-failed'
  | 'image-invalid'
  | 'image-missing-object'
  | 'image-size-mismatch'
  | 'missing-image-link';

export interface Finding {
  severity: 'error' | 'warning';
  kind: FindingKind;
  /** Path relative to the repository. */
  subject: string;
  detail: string;
  /** Refs that keep the subject, as far as they are cheap to know: ostree refs by their name, others as path. */
  refs: string[];
}

/** Findings of one kind about one subject that are spelled out; the rest is counted. */
const MAX_ALIKE = 1000;

export class Findings {
  readonly #all: Finding[] = [];
  readonly #alike = new Map<string, { count: number; last?: Finding }>();
  /** Refs by what they keep: `streams/NAME`, `images/ID`. */
  readonly #refs = new Map<string, string[]>();

  get all(): Finding[] {
    return this.#all;
  }
  get hasErrors(): boolean {
    return this.#all.some(({ severity }) => severity === 'error');
  }

  error(kind: FindingKind, subject: string, detail: string): void {
    this.#add('error', kind, subject, detail);
  }
  warn(kind: FindingKind, subject: string, detail: string): void {
    this.#add('warning', kind, subject, detail);
  }

  /** @param refPath relative to the repository */
  addRef(subject: string, refPath: string): void {
    const stream = refPath.startsWith('streams/refs/')
      ? ostreeRefOfPath(refPath.slice('streams/refs/'.length))
      : undefined;
    this.#append(subject, stream ?? refPath);
  }

  refsOf(subject: string): string[] {
    return this.#refs.get(subject) ?? [];
  }

  /** What keeps `from` keeps `to` too. */
  inheritRefs(to: string, from: string): void {
    for (const ref of this.refsOf(from)) this.#append(to, ref);
  }

  /** Objects with findings, which streams may yet turn out to need. */
  objectSubjects(): Set<string> {
    return new Set(this.#all.map(({ subject }) => subject).filter((subject) => subject.startsWith('objects/')));
  }

  /** For refs that became known after the findings. */
  fillRefs(): void {
    for (const finding of this.#all) finding.refs = this.refsOf(finding.subject);
  }

  #append(subject: string, ref: string): void {
    const refs = this.#refs.get(subject) ?? [];
    if (!refs.includes(ref)) refs.push(ref);
    this.#refs.set(subject, refs);
  }

  #add(severity: Finding['severity'], kind: FindingKind, subject: string, detail: string): void {
    const key = `${kind} ${subject}`;
    const alike = this.#alike.get(key) ?? { count: 0 };
    this.#alike.set(key, alike);
    alike.count++;
    if (alike.count <= MAX_ALIKE) {
      alike.last = { severity, kind, subject, detail, refs: this.refsOf(subject) };
      this.#all.push(alike.last);
    } else if (alike.last !== undefined)
      alike.last.detail = `and ${alike.count - MAX_ALIKE + 1} more like the ones before`;
  }
}

/** The subject of findings about an object. */
export const objectSubject = (id: ObjectId): string => `objects/${id.slice(0, 2)}/${id.slice(2)}`;
