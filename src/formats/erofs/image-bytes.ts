/** The buffer that an image is written into, and the small things that go into it: numbers, text, digests, xattr entries. */

import { LimitError } from '../../errors.ts';
import type { ByteString } from '../byte-string.ts';
import { digestBytes, FS_VERITY_ALGORITHM_NUMBER } from '../ids.ts';
import { XATTR_ENTRY_BYTES } from './layout.ts';
import { MAX_IMAGE_BYTES } from './limits.ts';
import { METACOPY_HEADER_BYTES, writeMetacopy } from './overlay.ts';
import type { XattrName, XattrPair } from './xattrs.ts';

const SLASH = 0x2f;
const HEX_DIGITS = Uint8Array.from('0123456789abcdef', (digit) => digit.charCodeAt(0));

export class ImageBytes {
  readonly bytes: Uint8Array;
  protected readonly view: DataView;

  /** @throws LimitError for an image larger than we accept */
  constructor(lengthBytes: number) {
    if (lengthBytes > MAX_IMAGE_BYTES)
      throw new LimitError(`the image would have ${lengthBytes} bytes, ${MAX_IMAGE_BYTES} are allowed`, {
        format: 'EROFS',
      });
    this.bytes = new Uint8Array(lengthBytes);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Before its references and entries. @param filter bits of all names */
  xattrHeader(at: number, filter: number, sharedCount: number): void {
    this.view.setUint32(at, ~filter >>> 0, true);
    this.view.setUint8(at + 4, sharedCount);
  }

  xattrEntry({ name, text, valueBytes }: XattrPair, at: number): void {
    const valueAt = this.xattrEntryHead(name, valueBytes, at);
    if (valueBytes === 0) return;
    if (name.form === 'digest') {
      writeMetacopy(text, this.bytes, valueAt);
    } else if (name.form === 'path') {
      this.bytes[valueAt] = SLASH;
      this.text(text, valueAt + 1);
    } else {
      this.text(text, valueAt);
    }
  }

  /** Everything but the value. @returns where that goes */
  xattrEntryHead({ suffix, prefixIndex }: XattrName, valueBytes: number, at: number): number {
    this.view.setUint8(at, suffix.length);
    this.view.setUint8(at + 1, prefixIndex);
    this.view.setUint16(at + 2, valueBytes, true);
    this.text(suffix, at + XATTR_ENTRY_BYTES);
    return at + XATTR_ENTRY_BYTES + suffix.length;
  }

  /** The metacopy value for the raw digest at `start` of `digests`. */
  metacopy(digests: Uint8Array, start: number, length: number, at: number): void {
    const { bytes } = this;
    bytes[at + 1] = METACOPY_HEADER_BYTES + length;
    bytes[at + 3] = FS_VERITY_ALGORITHM_NUMBER[length === digestBytes('sha256') ? 'sha256' : 'sha512']; // version and flags stay 0
    for (let i = 0; i < length; i++) bytes[at + METACOPY_HEADER_BYTES + i] = digests[start + i];
  }

  hex(source: Uint8Array, start: number, length: number, at: number): void {
    const { bytes } = this;
    for (let i = 0; i < length; i++) {
      const byte = source[start + i];
      bytes[at + 2 * i] = HEX_DIGITS[byte >>> 4];
      bytes[at + 2 * i + 1] = HEX_DIGITS[byte & 0xf];
    }
  }

  text(text: ByteString, at: number): void {
    for (let i = 0; i < text.length; i++) this.bytes[at + i] = text.charCodeAt(i);
  }

  u32(value: number, at: number): void {
    this.view.setUint32(at, value, true);
  }
}
