/** Mounting an image with the kernel: EROFS for the metadata, overlayfs over the object store for content. */

import { constants, open } from 'node:fs/promises';
import { resolve } from 'node:path';
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
const UMOUNT_NOFOLLOW = 8;

/**
 * @param tree image id or ref, commit or ref; a commit's image is built where it has none yet
 * @throws AddonNeededError; RepositoryError when the kernel refuses, with its own words
 */
export async function mountTree(repo: Repository, tree: string, directory: string, options: MountOptions = {}): Promise<MountReport> {
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
  const overlay = mountOverlay(addon, layers, { erofs, objects: objects.fd, image, verity, options });
  try {
    addon.moveMount(overlay, mountpoint);
  } catch (error) {
    throw explainMountError(error, 'move_mount', [], mountpoint);
  }
  return { image, mountpoint, verity };
}

/** @throws NotFoundError when nothing is mounted there */
export async function unmountTree(directory: string): Promise<{ mountpoint: string }> {
  const mountpoint = resolve(directory);
  try {
    requireAddon().umount(mountpoint, UMOUNT_NOFOLLOW);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'EINVAL' || code === 'ENOENT') throw new NotFoundError('nothing is mounted there', { file: mountpoint }, { cause: error });
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

/** Layers by descriptor where the kernel can (6.13 and 6.15), else as one string. */
function mountOverlay(addon: NativeAddon, layers: MountContext, parts: OverlayParts): number {
  const { erofs, objects, image, verity, options } = parts;
  const byDescriptor = (context: number) => {
    addon.fsconfigFd(context, 'lowerdir+', erofs);
    addon.fsconfigFd(context, 'datadir+', objects);
  };
  const byString = (context: number) =>
    addon.fsconfigString(context, 'lowerdir', `/proc/self/fd/${erofs}::/proc/self/fd/${objects}`);
  const attempt = (addLayers: (context: number) => void) =>
    layers.create('overlay', options.upperdir === undefined ? MOUNT_ATTR_RDONLY : 0, (context) => {
      addon.fsconfigString(context, 'source', `composefs:${image}`);
      addon.fsconfigString(context, 'metacopy', 'on');
      addon.fsconfigString(context, 'redirect_dir', 'on');
      if (verity) addon.fsconfigString(context, 'verity', 'require');
      addLayers(context);
      if (options.upperdir === undefined || options.workdir === undefined) return;
      addon.fsconfigString(context, 'upperdir', resolve(options.upperdir));
      addon.fsconfigString(context, 'workdir', resolve(options.workdir));
    });
  try {
    return attempt(byDescriptor);
  } catch (error) {
    if (errnoOf(error) !== 'EINVAL') throw error;
    return attempt(byString);
  }
}

const errnoOf = (error: unknown): string | undefined => ((error as Error).cause as NodeJS.ErrnoException | undefined)?.code;

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
