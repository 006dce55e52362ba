/** Both zstd codecs, for tests that must hold with either. */

import { promisify } from 'node:util';
import { createZstdCompress, zstdDecompress } from 'node:zlib';
import { FormatError, LimitError } from '../../src/errors.ts';
import type { ZstdCodec } from '../../src/formats/codecs.ts';
import { portableZstd } from '../../src/formats/zstd.ts';
import { decompressByFrame } from '../../src/formats/zstd-frame.ts';

const decompressFrame = promisify(zstdDecompress);

/** node:zlib, fed so that its frames are those of a streaming writer. */
export const zlibZstd: ZstdCodec = {
  async compress(bytes) {
    const stream = createZstdCompress();
    if (bytes.length > 0) stream.write(bytes);
    stream.end();
    const parts: Buffer[] = [];
    for await (const part of stream) parts.push(part);
    return new Uint8Array(Buffer.concat(parts));
  },
  decompress: (bytes, maxBytes) =>
    decompressByFrame(bytes, maxBytes, async (frame, maxFrameBytes) => {
      try {
        return new Uint8Array(await decompressFrame(frame, { maxOutputLength: maxFrameBytes }));
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code;
        const Kind = code === 'ERR_BUFFER_TOO_LARGE' ? LimitError : FormatError;
        throw new Kind(`zstd: ${(error as Error).message}`, {}, { cause: error });
      }
    }),
};

export const ZSTD_CODECS = [
  { codec: 'portable', zstd: portableZstd },
  { codec: 'node:zlib', zstd: zlibZstd },
];
