/** Checks everything in a repository against everything else, and changes nothing. */

import { type Progress, silentProgress } from '../progress.ts';
import type { Repository } from '../store/repository.ts';
import { type Finding, Findings } from './fsck-findings.ts';
import { checkImages } from './fsck-images.ts';
import { checkLinks, checkRoot, listNames } from './fsck-links.ts';
import { ObjectsCheck } from './fsck-objects.ts';
import { StreamsCheck } from './fsck-streams.ts';

export type { Finding, FindingKind } from './fsck-findings.ts';

export interface FsckOptions {
  /** Streams and images are read, contents of files are not. */
  metadataOnly?: boolean;
  progress?: Progress;
  signal?: AbortSignal;
}

export interface FsckReport {
  /** No finding is an error; there may be warnings. */
  ok: boolean;
  /** Objects whose content was read. */
  objectsChecked: number;
  bytesChecked: number;
  findings: Finding[];
}

/**
 * @param repo best opened as `tolerant`: then an unusable `meta.json` is a finding too
 */
export async function checkRepository(repo: Repository, options: FsckOptions = {}): Promise<FsckReport> {
  const { metadataOnly = false, progress = silentProgress, signal } = options;
  const findings = new Findings();
  const objects = new ObjectsCheck(repo, findings, progress, signal);
  const problem = repo.metadataProblem;
  if (problem !== undefined)
    findings.error(
      problem.kind === 'unreadable' ? 'metadata-parse-failed' : 'metadata-incompatible',
      'meta.json',
      problem.error.message,
    );
  if (problem?.kind !== 'incompatible') {
    await checkRoot(repo, findings);
    const streamNames = await listNames(repo.streams);
    const imageNames = await listNames(repo.images);
    await objects.scan();
    const streamLinks = await checkLinks(repo, repo.streams, streamNames, objects, findings);
    const imageLinks = await checkLinks(repo, repo.images, imageNames, objects, findings);
    const streams = new StreamsCheck(repo, objects, findings, { contents: !metadataOnly, signal });
    await streams.check(streamLinks);
    await checkImages(repo, objects, findings, imageLinks, streams.images, signal);
    if (!metadataOnly) await objects.contents();
    const damaged = findings.objectSubjects();
    if (damaged.size > 0) await streams.spreadRefs(damaged);
    findings.fillRefs();
  }
  const { objectsChecked, bytesChecked } = objects;
  return { ok: !findings.hasErrors, objectsChecked, bytesChecked, findings: findings.all };
}
