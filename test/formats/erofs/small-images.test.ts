/** Images pinned by digest: small inputs that each meet one rule of the layout (computed with mkcomposefs 1.0.8 and composefs-rs 0.9). */

import { expect, test } from 'vitest';
import { parseDumpfile } from '../../../src/formats/dumpfile.ts';
import { ErofsImage } from '../../../src/formats/erofs/reader.ts';
import { type ErofsVersion, serializeErofs } from '../../../src/formats/erofs/writer.ts';
import { fsVerityDigest } from '../../../src/formats/fs-verity.ts';
import { type Algorithm, toHex } from '../../../src/formats/ids.ts';

const ROOT = '/ 0 40755 2 0 0 0 0.0 - - -';
const digest = (byte: string, bytes = 32): string => byte.repeat(bytes);
const path = (byte: string, bytes = 32): string => `${byte}/${byte.repeat(bytes - 1)}`;

/** Lines after that of the root. */
const INPUTS = {
  empty: [],
  'every kind': [
    '/blkdev 0 60000 1 0 0 123 0.0 - - -',
    '/chrdev 0 20000 1 0 0 123 0.0 - - -',
    '/fifo 0 10000 1 0 0 0 0.0 - - -',
    `/regular-external 1234 100000 1 0 0 0 0.0 ${path('5a')} - ${digest('5a')}`,
    '/regular-inline 4 100000 1 0 0 0 0.0 - hihi -',
    '/socket 0 140000 1 0 0 0 0.0 - - -',
    '/symlink 7 120000 1 0 0 0 0.0 /target - -',
  ],
  whiteout: ['/d 0 40700 2 0 0 0 0.0 - - -', '/d/w 0 20644 1 0 0 0 0.0 - - -'],
  'shared xattrs and a hardlink': [
    '/a 0 40755 2 0 0 0 0.0 - - - security.selinux=x\\x00',
    '/a/f 5 100644 2 0 0 0 0.0 - hello - security.selinux=x\\x00 user.k=v1',
    '/b 0 @120000 - - - - 0.0 /a/f - -',
    '/c 0 100600 1 1 2 0 7.8 - - - security.selinux=x\\x00 user.k=v2 user.k2=v1',
  ],
  'symlink that fills a block': [`/l 4064 120777 1 0 0 0 0.0 ${'a'.repeat(4064)} - -`],
  'symlink one byte shorter': [`/l 4063 120777 1 0 0 0 0.0 ${'a'.repeat(4063)} - -`],
  '1024 chunks': [`/f 9007199254740992 100644 1 0 0 0 0.0 ${path('ab')} - ${digest('ab')}`],
  'inline content, block and tail': [`/f 5000 100644 1 0 0 0 0.0 - ${'z'.repeat(5000)} -`],
  'inline content above half a block': [`/f 2049 100644 1 0 0 0 0.0 - ${'z'.repeat(2049)} -`],
  'directory of 300': [
    '/d 0 40755 2 0 0 0 0.0 - - -',
    ...Array.from({ length: 300 }, (_, i) => `/d/f${String(i).padStart(3, '0')} 0 100644 1 0 0 0 0.0 - - -`),
  ],
  'overlay xattrs and an ACL': [
    '/f 0 100644 1 0 0 0 0.0 - - - trusted.overlay.redirect=/x user.overlay.opaque=y',
    `/g 9 100644 1 70000 0 0 5.6 ${path('ab')} - ${digest('ab')} system.posix_acl_access=\\x02\\x00\\x00\\x00`,
  ],
  'no digest': [`/f 9 100644 1 0 0 0 0.0 ${path('ab')} - -`],
  'sha512 digest': [`/f 9 100644 1 0 0 0 0.0 ${path('ab', 64)} - ${digest('ab', 64)}`],
} satisfies Record<string, string[]>;

const IMAGES: Array<[keyof typeof INPUTS, ErofsVersion, number, string]> = [
  ['empty', 0, 16384, '8f589e8f57ecb88823736b0d857ddca1e1068a23e264fad164b28f7038eb3682'],
  ['empty', 1, 16384, '14a26c957c84f6eb774b91205476adc13196c7c33b9dd97d08d43725ecb90b63'],
  ['empty', 2, 4096, '086b702a519b57d6ef5aea6f8b3f2be24355cd1fb835cd80fb4e3d388b24d5a5'],
  ['every kind', 0, 16384, '9f3f5620ee0c54708516467d0d58741e7963047c7106b245d94c298259d0fa01'],
  ['every kind', 1, 16384, 'ad6db6427568a1e4fdc772cbab7b6063f5eb4b33cb62982a740ba9213e5962b5'],
  ['every kind', 2, 4096, 'a8fcd41f8b313bede69f462f2af0a38d64b99a6333f5df884ea9ab4037fac722'],
  ['whiteout', 0, 16384, '0fa360ecec5c7fb16322ab27caeb90e86e4013da9d47faaf99e52f23c47902ee'],
  ['whiteout', 1, 16384, 'daa476fef4edf85fc7b62211bf47f978116a9c777db3b957be3ad3cd4402ac25'],
  ['whiteout', 2, 4096, '62681da6a3c2938183de62e00b7603185f6567273b40e3009036c90666fcbfc1'],
  ['shared xattrs and a hardlink', 0, 16384, 'e96f08f92415205d2dceb005fd588ee80835f96ded4206f5920a6343374ce6ec'],
  ['shared xattrs and a hardlink', 1, 16384, 'e88bf417d0e94094e35ddb485b4cae55e16794fbef98bbdec8d9ea056f2392b0'],
  ['shared xattrs and a hardlink', 2, 4096, '52b5c242a324ff650e4064c253028b027074dc6a52472cd68dc5627a717d2991'],
  ['symlink that fills a block', 0, 24576, '7ac46b2ed304bae0edbda6bd38c1bb33935db4b8afcb6c3f513e7eb4d6facff2'],
  ['symlink one byte shorter', 0, 20480, '0f886b3b42756251fab6bf204e000287d949210fe109c24a20b59a9f81311481'],
  ['1024 chunks', 0, 24576, '95eafa223314520f135a44e498853dca37e70320f4abe3119e1b6f4779f1ea36'],
  ['1024 chunks', 2, 4096, 'b77743252948b215e8e0b1e9d240f005c92c65c5d836f8535b5f668df595d106'],
  ['inline content, block and tail', 0, 20480, 'b54d621b69d824c2ec17bd882b7ef14493fc370a86e7050d1977da599185e1c1'],
  ['inline content above half a block', 0, 20480, '0601cdc59df18e34cbe872c01d580ef079019cfcdd8dbb59145a4870885f233c'],
  ['directory of 300', 0, 28672, '8b5ebe219fcfe2b58151a0fe3d4f063ed924e04e5ff09b943dba4360b634452a'],
  ['directory of 300', 2, 28672, '831c4e8bc866e9cb8b4f6c415ff851070d6f1c90b5c201b9fee7d60b29378a74'],
  ['overlay xattrs and an ACL', 0, 16384, 'f69d1bdfc7149cf7c03a51a35a389df4e33dd640417c5de2449ffdd9d3cf53a1'],
  ['overlay xattrs and an ACL', 2, 4096, 'ae2790d7536f09be74c0fc54bc9e7a807e9fba6444c1fbe94264b6423a40f5fb'],
  ['no digest', 0, 16384, '7085b064661463a7627025161cc6e4a283e1a4aec1310b272be911f463864ab8'],
  ['no digest', 2, 4096, 'fdf5cc615209b58d13728b07d6da640a925e7b9c57556868e2f26ce66a3c7ec3'],
  [
    'empty',
    1,
    16384,
    'ee192e5a91c70428c8f2ca7abf8274b695494c70a9ffb277598ffbacf46e2cebd7de172c6d44a84c20f3f13cc97e7691ccce4974937fe866c2f6c83ddccd3f72',
  ],
  [
    'empty',
    2,
    4096,
    '334472adb2a093bfb4d9bd138d921d76025387ac67813945a297a6391a20518d93efe5cd374cd7584a25c4df83dbfc1e3d4b5b3838ecc50e441d944ca0c11cf7',
  ],
  [
    'sha512 digest',
    1,
    16384,
    'deb00deb67939457a47225ef0491a9991952cf4ab71614fb0a82fa434b0e90b57eba1f763a63f14d049dffe9ffa6eacf5c4c1b8e78b159e1a69518cfebe69b5d',
  ],
  [
    'sha512 digest',
    2,
    4096,
    '4d1e0a6eef03e2a3df17f6363ca88b3932c25b8068c4f9a2d9e1e7f0abbc0d476f2f9890d8f0bd355bf68733d16c2713f5a0de2929880143f87370c82928e574',
  ],
];

test.each(IMAGES)('%s, version %i: %i bytes, %s', (name, version, lengthBytes, expected) => {
  const algorithm: Algorithm = expected.length === 64 ? 'sha256' : 'sha512';
  const dump = new TextEncoder().encode([ROOT, ...INPUTS[name], ''].join('\n'));
  const image = serializeErofs(parseDumpfile(dump), { version, algorithm });
  expect(image.length).toBe(lengthBytes);
  expect(toHex(fsVerityDigest(algorithm, image))).toBe(expected);
  expect(serializeErofs(ErofsImage.open(image).readTree(), { version, algorithm })).toEqual(image);
});
