// ostree's directory trees `a(say)a(sayay)`, read as strictly as src/formats/ostree/dirtree.ts does.
#pragma once

#include <vector>

#include "bytes.h"
#include "sha.h"

namespace cfs {

constexpr size_t kMaxMetadataBytes = size_t{128} << 20;
constexpr size_t kMaxNameBytes = 255;
constexpr size_t kMaxDirectoryEntries = 1'000'000;

/** Where in the bytes an entry's parts are. */
struct DirtreeEntry {
  size_t nameStart;
  /** Of the NUL. */
  size_t nameEnd;
  /** Of a directory the dirtree's, with the dirmeta's right behind it. */
  size_t checksums;
};

struct DirtreeEntries {
  std::vector<DirtreeEntry> files;
  std::vector<DirtreeEntry> directories;
};

/** @return false unless the bytes are a dirtree in normal form, within all limits; what is wrong is not told */
bool readDirtree(Span bytes, DirtreeEntries& entries);

}  // namespace cfs
