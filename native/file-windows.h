// Files that are too large for the arena as a whole: a window of each at a time, several files side by side.
#pragma once

#include <algorithm>

#include "ingest-object.h"

namespace cfs {

/** Sixteen windows stay in the second-level cache, and one fills a set of SHA-512 lanes. */
constexpr size_t kReadBytes = 32 * 1024;
constexpr size_t kFilesAtOnce = kSha256Lanes;
static_assert(kReadBytes * kFilesAtOnce <= kArenaBytes);

using Sha256Pieces = std::vector<Sha256Piece>;

/**
 * Goes through all files, each of which gives up its place to the next one when it is done. Uses the arena.
 * @param read `bool(file, window, pieces)`: reads into its window and adds what its checksums go on with; false: it is done
 * @param write `bool(file)`: the checksums have the window; false: it is done
 */
template <typename File, typename Read, typename Write>
void goThroughWindows(IngestWorker& worker, std::vector<File>& files, Read read, Write write) {
  std::vector<File*> atWork;
  Sha256Pieces pieces;
  const auto step = [&](auto goesOn) {
    for (size_t i = 0; i < atWork.size(); i++)
      if (!goesOn(*atWork[i], i)) atWork[i] = nullptr;
    atWork.erase(std::remove(atWork.begin(), atWork.end(), nullptr), atWork.end());
  };
  for (size_t next = 0;;) {
    while (atWork.size() < kFilesAtOnce && next < files.size()) atWork.push_back(&files[next++]);
    if (atWork.empty()) return;
    pieces.clear();
    step([&](File& file, size_t i) { return read(file, worker.arena() + i * kReadBytes, pieces); });
    updateSideBySide(bestShaEngine(), pieces.data(), pieces.size());
    step([&](File& file, size_t) { return write(file); });
  }
}

}  // namespace cfs
