// A commit map in memory, for lookups: the layout of src/formats/commit-map.ts.
#pragma once

#include "bytes.h"
#include "sha.h"

namespace cfs {

class CommitMapView {
 public:
  static constexpr uint32_t kNoObject = 0xffffffff;
  static constexpr size_t kAlignment = 8;
  static constexpr size_t kBucketsAt = 8;
  static constexpr size_t kChecksumsAt = kBucketsAt + 4 * 256;
  /** Position, length, object number. */
  static constexpr size_t kRefBytes = 12;

  /** Whoever made the map has checked it (`CommitMap.parse`); here only that nothing is read beside it. */
  explicit CommitMapView(Span content);

  /** Whether the tables lie in the content. */
  bool isSound() const { return isSound_; }
  size_t count() const { return count_; }
  /** @return number of the entry, -1 when there is none */
  int64_t find(const uint8_t* checksum) const;
  /** These three ask for the memory that find(), dataAt() and reading the data will need, in this order. */
  void prefetchSearch(const uint8_t* checksum) const;
  void prefetchRef(size_t index) const { __builtin_prefetch(content_.data + refsStart_ + kRefBytes * index); }
  void prefetchData(size_t index) const { __builtin_prefetch(content_.data + dataStartAt(index)); }
  const uint8_t* checksumAt(size_t index) const { return content_.data + kChecksumsAt + kSha256Bytes * index; }
  /** @return false when it does not lie in the content */
  bool dataAt(size_t index, Span& data) const;
  uint32_t objectNumberAt(size_t index) const { return refAt(index, 8); }

 private:
  /** In a damaged map anywhere. */
  uint64_t dataStartAt(size_t index) const { return areaStart_ + uint64_t{kAlignment} * refAt(index, 0); }
  size_t bucketEnd(size_t byte) const { return static_cast<size_t>(readLittleEndian(content_.data + kBucketsAt + 4 * byte, 4)); }
  uint32_t refAt(size_t index, size_t offset) const {
    return static_cast<uint32_t>(readLittleEndian(content_.data + refsStart_ + kRefBytes * index + offset, 4));
  }

  Span content_;
  bool isSound_ = false;
  size_t count_ = 0;
  size_t refsStart_ = 0;
  size_t areaStart_ = 0;
};

}  // namespace cfs
