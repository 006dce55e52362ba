/** The library: operations on composefs repositories, and the store that they work on. Pure codecs: `cfs-ostree/formats`. */

export * from './errors.ts';
export { type Progress, type ProgressEvent, silentProgress } from './progress.ts';
export { openRepository, Repository, type OpenOptions } from './store/repository.ts';
export { openSource, type Source, type SourceOptions } from './sources/source.ts';
export { pull, type PullOptions, type PullReport, type PullResult } from './operations/pull.ts';
export {
  createImage,
  createImageFromTree,
  type BuiltImage,
  type CreateImageOptions,
  type ImageReport,
} from './operations/create-image.ts';
export { commitTree, type CommitOptions, type CommitResult } from './operations/commit.ts';
export { exportCommits, type ExportOptions, type ExportReport } from './operations/export.ts';
export { mountTree, unmountTree, type MountOptions, type MountReport } from './operations/mount.ts';
export { initRepository, type InitOptions } from './store/init.ts';
export { collectGarbage } from './operations/gc.ts';
export { checkRepository } from './operations/fsck.ts';
export { openTree, type Tree } from './operations/resolve-tree.ts';
export { listTree, type ListedEntry } from './operations/list-tree.ts';
export { diffTrees } from './operations/diff-trees.ts';
export { resolveCommit } from './operations/resolve-name.ts';
