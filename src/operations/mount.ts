/** Mounting an image with the kernel: EROFS for the metadata, overlayfs over the object store for content. */

import { constants, mkdtemp, open, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { AddonNeededError, NotFoundError, RepositoryError, UsageError } from '../errors.ts';
import type { ObjectId } from '../formats/ids.ts';
import { type NativeAddon, native } from '../native.ts';
import type { Repository } from '../store/repository.ts';
import { findCommit } from './commit-reader.ts';
import { IMAGE_REF } from './commit-stream.ts';
import { createImage } from './create-image.ts';
import { resolveCommit } from './resolve-name.ts';
import { findImage } from './resolve-tree.ts';

export interface MountOptions {
  /** Refuse unless the kernel verifies image and content. Always so in a secure repository. */
  requireVerity?: boolean;
  /** Writable layer; both or none, on one file system. */
  upperdir?: string;
  workdir?: string;
}

export interface MountReport {
  image: ObjectId;
  mountpoint: string;
  /** Whether the kernel refuses content without the right fs-verity digest. */
  verity: boolean;
}

/** Linux uapi: mount attributes and umount flags. */
const MOUNT_ATTR_RDONLY = 1;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;

/**
 * @param tree image id or ref, commit or ref; a commit's image is built where it has none yet
 * @throws AddonNeededError; RepositoryError when the kernel refuses, with its own words
 */
export async function mountTree(
  repo: Repository,
  tree: string,
  directory: string,
  options: MountOptions = {},
): Promise<MountReport> {
  const addon = requireAddon();
  if ((options.upperdir === undefined) !== (options.workdir === undefined))
    throw new UsageError('--upperdir and --workdir go together');
  const mountpoint = resolve(directory);
  const image = await imageOf(repo, tree);
  await repo.objects.verify(image);
  const { handle } = await repo.objects.openUnverified(image);
  await using imageFile = handle;
  const measured = repo.objects.measure(imageFile.fd, image)?.state === 'intact';
  const verity = options.requireVerity || repo.secure;
  if (verity && !measured)
    throw new RepositoryError('the image has no fs-verity, which --require-verity asks for', { object: image });
  await using objects = await open(repo.objects.root, constants.O_RDONLY | constants.O_DIRECTORY);
  await using layers = new MountContext(addon);
  const erofs = mountErofs(addon, layers, imageFile.fd);
  const overlay = await mountOverlay(addon, layers, { erofs, objects: objects.fd, image, verity, options });
  try {
    addon.moveMount(overlay, mountpoint);
  } catch (error) {
    throw explainMountError(error, 'move_mount', [], mountpoint);
  }
  return { image, mountpoint, verity };
}

/** @throws NotFoundError when nothing is mounted there */
export async function unmountTree(directory: string): Promise<{ mountpoint: string }> {
  const addon = requireAddon();
  const mountpoint = resolve(directory);
  try {
    addon.umount(mountpoint, UMOUNT_NOFOLLOW);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'EINVAL' || code === 'ENOENT')
      throw new NotFoundError('nothing is mounted there', { file: mountpoint }, { cause: error });
    throw explainMountError(error, 'umount', [], mountpoint);
  }
  return { mountpoint };
}

function requireAddon(): NativeAddon {
  if (native === undefined) throw new AddonNeededError('mounting needs the native addon; see doc/native.md');
  return native;
}

async function imageOf(repo: Repository, tree: string): Promise<ObjectId> {
  const image = await findImage(repo, tree);
  if (image !== undefined) return image;
  const commit = await resolveCommit(repo, tree);
  const known = (await findCommit(repo, commit))?.namedRefs.get(IMAGE_REF);
  if (known !== undefined && (await repo.objects.has(known))) return known;
  return (await createImage(repo, { commit })).image;
}

/** Descriptors that a mount needs until it is attached. */
class MountContext implements AsyncDisposable {
  readonly #addon: NativeAddon;
  readonly #descriptors: number[] = [];
  constructor(addon: NativeAddon) {
    this.#addon = addon;
  }
  keep(fd: number): number {
    this.#descriptors.push(fd);
    return fd;
  }
  /** Makes a file system of a kind; the kernel's own explanation goes into the error. */
  create(type: string, attributes: number, configure: (context: number) => void): number {
    const context = this.keep(this.#attempt('fsopen', undefined, () => this.#addon.fsopen(type)));
    this.#attempt(type, context, () => {
      configure(context);
      this.#addon.fsconfigCreate(context);
    });
    return this.keep(this.#attempt('fsmount', context, () => this.#addon.fsmount(context, attributes)));
  }
  async [Symbol.asyncDispose](): Promise<void> {
    const { closeSync } = await import('node:fs');
    for (const fd of this.#descriptors.reverse()) closeSync(fd);
  }
  #attempt<T>(what: string, context: number | undefined, call: () => T): T {
    try {
      return call();
    } catch (error) {
      throw explainMountError(error, what, context === undefined ? [] : this.#addon.fsMessages(context));
    }
  }
}

/** From the file where the kernel can (6.12), else through a loop device. */
function mountErofs(addon: NativeAddon, layers: MountContext, imageFd: number): number {
  const mountFrom = (source: string) =>
    layers.create('erofs', MOUNT_ATTR_RDONLY, (context) => {
      addon.fsconfigFlag(context, 'ro');
      addon.fsconfigString(context, 'source', source);
    });
  try {
    return mountFrom(`/proc/self/fd/${imageFd}`);
  } catch (error) {
    if (errnoOf(error) !== 'ENOTBLK') throw error;
    const loop = addon.attachLoopDevice(imageFd);
    layers.keep(loop.fd);
    return mountFrom(loop.path);
  }
}

interface OverlayParts {
  erofs: number;
  objects: number;
  image: ObjectId;
  verity: boolean;
  options: MountOptions;
}

/**
 * Layers by descriptor (Linux 6.15: a detached mount can be one), else by path through /proc, else with the EROFS attached to a
 * private directory for the moment: older kernels take no detached mount as a layer.
 */
async function mountOverlay(addon: NativeAddon, layers: MountContext, parts: OverlayParts): Promise<number> {
  const { erofs, objects } = parts;
  const byPath = (lower: number) => (context: number) =>
    addon.fsconfigString(context, 'lowerdir', `/proc/self/fd/${lower}::/proc/self/fd/${objects}`);
  const attempts: Array<() => number | Promise<number>> = [
    () =>
      createOverlay(addon, layers, parts, (context) => {
        addon.fsconfigFd(context, 'lowerdir+', erofs);
        addon.fsconfigFd(context, 'datadir+', objects);
      }),
    () => createOverlay(addon, layers, parts, byPath(erofs)),
    () => withAttached(addon, erofs, (lower) => createOverlay(addon, layers, parts, byPath(lower))),
  ];
  let failure: unknown;
  for (const attempt of attempts) {
    try {
      return await attempt();
    } catch (error) {
      if (errnoOf(error) === 'EPERM') throw error;
      failure = error;
    }
  }
  throw failure;
}

function createOverlay(
  addon: NativeAddon,
  layers: MountContext,
  { image, verity, options }: OverlayParts,
  addLayers: (context: number) => void,
): number {
  return layers.create('overlay', options.upperdir === undefined ? MOUNT_ATTR_RDONLY : 0, (context) => {
    addon.fsconfigString(context, 'source', `composefs:${image}`);
    addon.fsconfigString(context, 'metacopy', 'on');
    addon.fsconfigString(context, 'redirect_dir', 'on');
    if (verity) addon.fsconfigString(context, 'verity', 'require');
    addLayers(context);
    if (options.upperdir === undefined || options.workdir === undefined) return;
    addon.fsconfigString(context, 'upperdir', resolve(options.upperdir));
    addon.fsconfigString(context, 'workdir', resolve(options.workdir));
  });
}

/** The overlay keeps the layer once it exists; the directory is only needed while it is made. */
async function withAttached(addon: NativeAddon, mount: number, make: (lower: number) => number): Promise<number> {
  const directory = await mkdtemp(join(tmpdir(), 'cfs-ostree-mount-'));
  try {
    addon.moveMount(mount, directory);
    try {
      await using lower = await open(directory, constants.O_RDONLY | constants.O_DIRECTORY);
      return make(lower.fd);
    } finally {
      addon.umount(directory, MNT_DETACH);
    }
  } finally {
    await rmdir(directory);
  }
}

const errnoOf = (error: unknown): string | undefined =>
  ((error as Error).cause as NodeJS.ErrnoException | undefined)?.code;

function explainMountError(error: unknown, step: string, messages: string[], mountpoint?: string): Error {
  const code = (error as NodeJS.ErrnoException).code;
  const where = { file: mountpoint };
  const said = messages.length === 0 ? '' : ` (the kernel says: ${messages.join('; ')})`;
  if (code === 'EPERM' || code === 'EACCES')
    return new RepositoryError(`mounting needs root (CAP_SYS_ADMIN)${said}`, where, { cause: error });
  if (code === 'ENOENT') return new NotFoundError('there is no such directory', where, { cause: error });
  if (code === 'ENODEV' || code === 'ENOSYS')
    return new RepositoryError(`this kernel has no ${step}${said}`, where, { cause: error });
  return new RepositoryError(`${step}: ${(error as Error).message}${said}`, where, { cause: error });
}
