/** The part of a check that looks at names: entries of `streams/` and `images/`, refs, and the repository's root. */

import { lstat, readdir } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import type { ObjectId } from '../formats/ids.ts';
import type { FirstLevelEntry, LinkDirectory, RefEntry } from '../store/links.ts';
import type { Repository } from '../store/repository.ts';
import { isTemporaryRootName } from '../store/temporaries.ts';
import type { Findings } from './fsck-findings.ts';
import type { ObjectsCheck } from './fsck-objects.ts';

/** First-level names by the object that each leads to, of sound links to objects that are there. */
export type LinkedObjects = Map<ObjectId, string[]>;

const ROOT_NAMES = new Set(['meta.json', 'objects', 'streams', 'images', 'cfs-ostree']);

export async function checkRoot(repo: Repository, findings: Findings): Promise<void> {
  for (const name of (await readdir(repo.path)).sort()) {
    if (ROOT_NAMES.has(name)) continue;
    if (isTemporaryRootName(name)) findings.warn('leftover-temporary', name, 'left by interrupted work; gc removes it');
    else findings.warn('unexpected-name', name, 'does not belong into a repository');
  }
}

/**
 * Names as they are now. Refs are read first, then what they point at; the objects are listed after that. Others may be publishing
 * meanwhile, in the opposite order, so that whatever is read here leads to something that is seen later.
 */
export interface ListedNames {
  refs: RefEntry[];
  firstLevel: FirstLevelEntry[];
}

export async function listNames(links: LinkDirectory): Promise<ListedNames> {
  const refs = await Array.fromAsync(links.refEntries());
  return { refs, firstLevel: await Array.fromAsync(links.entries()) };
}

export async function checkLinks(
  repo: Repository,
  links: LinkDirectory,
  { refs, firstLevel }: ListedNames,
  objects: ObjectsCheck,
  findings: Findings,
): Promise<LinkedObjects> {
  const linked: LinkedObjects = new Map();
  const sound = new Set<string>();
  for (const { name, linkText, id } of firstLevel) {
    const subject = `${links.kind}/${name}`;
    if (linkText === undefined) findings.error('entry-not-symlink', subject, 'is no symlink');
    else if (id === undefined) await reportTarget(repo, subject, linkText, findings);
    else if (!objects.exists(id)) findings.error('broken-symlink', subject, `leads to object ${id}, which is missing`);
    else {
      sound.add(name);
      linked.set(id, [...(linked.get(id) ?? []), name]);
      if (links.kind === 'images' && name !== id)
        findings.error('image-link-mismatch', subject, `leads to object ${id}`);
    }
  }
  for (const { ref, linkText, target } of refs) {
    const subject = `${links.kind}/refs/${ref}`;
    if (linkText === undefined) findings.error('unexpected-file-type', subject, 'is no symlink');
    else if (target === undefined) await reportTarget(repo, subject, linkText, findings);
    else {
      findings.addRef(`${links.kind}/${target}`, subject);
      if (!sound.has(target) && (await isStillThere(repo, subject)))
        findings.error('broken-symlink', subject, `leads to ${links.kind}/${target}, which leads to no object`);
    }
  }
  return linked;
}

/** A pull that ends takes its partial stream away, ref first. */
const isStillThere = (repo: Repository, subject: string): Promise<boolean> =>
  lstat(join(repo.path, subject)).then(
    () => true,
    () => false,
  );

/** A target that no writer makes. It is judged by its text: links are never followed, least of all out of the repository. */
async function reportTarget(repo: Repository, subject: string, linkText: string, findings: Findings): Promise<void> {
  const shown = JSON.stringify(linkText);
  findings.error('bad-link-target', subject, `link target ${shown} is not one that belongs here`);
  const target = normalize(join(dirname(subject), linkText));
  if (linkText.startsWith('/') || target === '..' || target.startsWith('../')) {
    findings.error('broken-symlink', subject, `link target ${shown} leaves the repository`);
    return;
  }
  const stats = await lstat(join(repo.path, target)).catch(() => undefined);
  if (stats === undefined) findings.error('broken-symlink', subject, `link target ${shown} does not exist`);
  else if (stats.isSymbolicLink() && target === normalize(subject))
    findings.error('stat-failed', subject, 'leads to itself');
}
