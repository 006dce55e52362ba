/**
 * The images of the composefs C tools: dumpfiles, what mkcomposefs makes of them, what composefs-info says about that.
 */

import { gunzipSync } from 'node:zlib';
import { readVector, readVectorJson } from '../../support/vectors.ts';

export interface ImageVector {
  /** Dump and variant, for test names. */
  name: string;
  dump: Uint8Array;
  variant: 'v0' | 'auto' | 'v1';
  bytes: Uint8Array;
  version: 0 | 1;
  infoDump: string;
  objects: string[];
  fsVeritySha256: string;
}

/** A file of the vectors, unpacked if it is gzipped. */
export function readUnpacked(path: string): Uint8Array {
  const bytes = readVector(path);
  return path.endsWith('.gz') ? new Uint8Array(gunzipSync(bytes)) : bytes;
}

interface ExpectedImage {
  same_as?: string;
  file: string;
  composefs_version: 0 | 1;
  info_dump: string;
  objects: string[];
  fsverity_sha256: string;
}
interface ExpectedDump {
  dump: string;
  images: Record<'v0' | 'auto' | 'v1', ExpectedImage>;
}

export function loadImageVectors(): ImageVector[] {
  const { commits, handmade } = readVectorJson<{
    commits: Record<string, Record<'verity' | 'noverity', ExpectedDump>>;
    handmade: Record<string, ExpectedDump>;
  }>('images/expected.json');
  const dumps = [
    ...Object.values(commits).flatMap(({ verity, noverity }) => [verity, noverity]),
    ...Object.values(handmade),
  ];
  return dumps.flatMap(({ dump, images }) =>
    (['v0', 'auto', 'v1'] as const)
      .filter((variant) => images[variant] !== undefined)
      .map((variant) => {
        const own = images[variant];
        const image = own.same_as === undefined ? own : images[own.same_as as 'v0' | 'v1'];
        return {
          name: `${dump} as ${variant}`,
          dump: readUnpacked(`images/${dump}`),
          variant,
          bytes: readUnpacked(`images/${image.file}`),
          version: image.composefs_version,
          infoDump: new TextDecoder().decode(readUnpacked(`images/${image.info_dump}`)),
          objects: image.objects,
          fsVeritySha256: image.fsverity_sha256,
        };
      }),
  );
}
