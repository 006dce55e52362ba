/** test/vectors/composefs: what its expected.json says about streams and commit maps, and the objects of its repositories. */

import { readVectorJson, readVectorTar } from './vectors.ts';

export interface ExpectedHeader {
  layout: 'current' | 'legacy';
  file_size: number;
  info: [number, number];
  stream_refs: [number, number];
  object_refs: [number, number];
  stream: [number, number];
  named_refs: [number, number];
  content_type: string;
  stream_size: number;
  stream_ref_ids: string[];
  object_ref_ids: string[];
  named: Array<{ index: number; name: string; id: string }>;
  name_table_hex: string;
  zstd_frames: { named_refs: number; stream: number };
  chunk_count: number;
  /** `object` is an index; the OCI ones are pairs; `...`: there are more. */
  chunks: Array<{ inline: number } | { object: number } | ['inline' | 'object', number] | '...'>;
}

export interface ExpectedMapObject {
  checksum: string;
  type: 'commit' | 'dirtree' | 'dirmeta' | 'file';
  /** In units of 8 bytes. */
  position: number;
  length: number;
  storage: 'inline' | 'external';
  object?: string;
}

export interface ExpectedCommitMap {
  commit_index: number;
  count: number;
  /** Where it starts. */
  content_area: number;
  objects: ExpectedMapObject[];
}

export interface ExpectedStream {
  id: string;
  algorithm: string;
  commit: string;
  repositories: Record<string, unknown>;
  header: ExpectedHeader;
  content: { size: number; sha256: string };
  commit_map: ExpectedCommitMap | { same_as: string };
  /** By version of libzstd: whether it makes the same frames. */
  zstd_identical: Record<string, boolean>;
  file?: string;
}

/** An OCI layer; `cat` is its merged content. */
export interface ExpectedLayer {
  id: string;
  header: ExpectedHeader;
  cat: { size: number; sha256: string };
}

export interface HostileStream {
  id: string;
  object: string;
  description: string;
  should: 'accept' | 'reject' | 'may-reject';
  detected_by?: 'open' | 'read' | null;
  header?: ExpectedHeader;
  content?: { size: number; sha256: string };
}

export interface FeatureCase {
  id: string;
  should: Record<'open' | 'write', 'accept' | 'reject' | 'may-reject'>;
  reason: string;
  meta_json?: string;
  meta_json_hex?: string;
  /** How to make it, where it is too long to be given. */
  meta_json_made?: string;
  cfsctl: { pull?: { images?: Array<{ image: string; composefs_version: number }>; default_image?: string } };
}

export interface ComposefsVectors {
  repositories: Record<string, { meta_json: string; algorithm: string }>;
  streams: Record<string, ExpectedStream>;
  features: { cases: FeatureCase[] };
  hostile_streams: { tarball: string; streams: HostileStream[] };
  hostile_commits: { tarball: string; commit: string; streams: HostileStream[] };
  oci: {
    repositories: Record<string, { tarball: string; algorithm: string; streams: Record<string, ExpectedLayer> }>;
  };
  old_format: Array<{ id: string; tarball: string; algorithm: string; stream_header: string; stream_id: string }>;
}

export const readComposefsVectors = (): ComposefsVectors => readVectorJson<ComposefsVectors>('composefs/expected.json');

/** Content of every object of a repository, by its id. `tarball` as in expected.json. */
export function readObjects(tarball: string): Map<string, Uint8Array> {
  const objects = new Map<string, Uint8Array>();
  for (const [path, { type, content }] of readVectorTar(`composefs/${tarball}`)) {
    const [, xx, rest] = /(?:^|\/)objects\/([0-9a-f]{2})\/([0-9a-f]+)$/.exec(path) ?? [];
    if (type === 'file' && rest !== undefined) objects.set(xx + rest, content);
  }
  return objects;
}
