/** Which engine sweeps. */

import type { Algorithm } from '../formats/ids.ts';
import { native } from '../native.ts';
import { NativeObjectSweep } from './native-object-sweep.ts';
import type { ObjectSweep } from './object-sweep.ts';

/** @param objectsPath absolute path of `objects/` */
export async function openObjectSweep(objectsPath: string, algorithm: Algorithm): Promise<ObjectSweep> {
  if (native !== undefined) return new NativeObjectSweep(native, objectsPath, algorithm);
  const { PortableObjectSweep } = await import('./portable-object-sweep.ts'); // and what it needs of Node, which takes time
  return new PortableObjectSweep(objectsPath, algorithm);
}
