/** The images of the composefs C tools: dumpfiles, what mkcomposefs makes of them, what composefs-info says about that. */

import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

const DIRECTORY = new URL('../../vectors/images/', import.meta.url);

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

/** A vector file, unpacked if it is gzipped. */
export function readVector(path: string, directory = DIRECTORY): Uint8Array {
  const bytes = readFileSync(new URL(path, directory));
  return new Uint8Array(path.endsWith('.gz') ? gunzipSync(bytes) : bytes);
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
  const { commits, handmade } = JSON.parse(new TextDecoder().decode(readVector('expected.json')));
  const dumps: ExpectedDump[] = [
    ...Object.values(commits as Record<string, Record<'verity' | 'noverity', ExpectedDump>>).flatMap((commit) => [
      commit.verity,
      commit.noverity,
    ]),
    ...Object.values(handmade as Record<string, ExpectedDump>),
  ];
  return dumps.flatMap(({ dump, images }) =>
    (['v0', 'auto', 'v1'] as const)
      .filter((variant) => images[variant] !== undefined)
      .map((variant) => {
        const own = images[variant];
        const image = own.same_as === undefined ? own : images[own.same_as as 'v0' | 'v1'];
        return {
          name: `${dump} as ${variant}`,
          dump: readVector(dump),
          variant,
          bytes: readVector(image.file),
          version: image.composefs_version,
          infoDump: new TextDecoder().decode(readVector(image.info_dump)),
          objects: image.objects,
          fsVeritySha256: image.fsverity_sha256,
        };
      }),
  );
}
