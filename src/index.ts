/** The library: operations on composefs repositories, and the store that they work on. Pure codecs: `cfs-ostree/formats`. */

export * from './errors.ts';
export { type CommitOptions, type CommitResult, commitTree } from './operations/commit.ts';
export {
  type BuiltImage,
  type CreateImageOptions,
  createImage,
  createImageFromTree,
  type ImageReport,
} from './operations/create-image.ts';
export { diffTrees } from './operations/diff-trees.ts';
export { type ExportOptions, type ExportReport, exportCommits } from './operations/export.ts';
export { checkRepository } from './operations/fsck.ts';
export { collectGarbage } from './operations/gc.ts';
export { type ListedEntry, listTree } from './operations/list-tree.ts';
export { type MountOptions, type MountReport, mountTree, unmountTree } from './operations/mount.ts';
export { type PullOptions, type PullReport, type PullResult, pull } from './operations/pull.ts';
export { resolveCommit } from './operations/resolve-name.ts';
export { openTree, type Tree } from './operations/resolve-tree.ts';
export { type Progress, type ProgressEvent, silentProgress } from './progress.ts';
export { openSource } from './sources/open-source.ts';
export type { Source, SourceOptions } from './sources/source.ts';
export { type InitOptions, initRepository } from './store/init.ts';
export { type OpenOptions, openRepository, Repository } from './store/repository.ts';
