// fs-verity digests: 4096-byte blocks, no salt (Linux: Documentation/filesystems/fsverity.rst). Computed here, not asked of the kernel.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "sha.h"

namespace cfs {

constexpr size_t kVerityBlock = 4096;

/** Collects equal messages until a set of lanes is full. What messages point at must stay until flush(). */
class LaneQueue {
 public:
  LaneQueue(MessageHasher& hasher, size_t messageBytes) : hasher_(hasher), messageBytes_(messageBytes) {}
  void add(const uint8_t* message, uint8_t* digest) {
    messages_[count_] = message;
    digests_[count_] = digest;
    if (++count_ == MessageHasher::kLanes) flush();
  }
  void flush() {
    if (count_ != 0) hasher_.hash(messages_, digests_, count_, messageBytes_);
    count_ = 0;
  }
  /** Messages that are waiting: also the index of the next one within its set. */
  size_t waiting() const { return count_; }

 private:
  MessageHasher& hasher_;
  const size_t messageBytes_;
  size_t count_ = 0;
  const uint8_t* messages_[MessageHasher::kLanes];
  uint8_t* digests_[MessageHasher::kLanes];
};

struct VerityItem {
  Span content;
  /** Where the digest goes. */
  uint8_t* digest;
};

/** Digests of several contents in memory, their blocks side by side in the lanes. One per thread: keeps its scratch space. */
class VerityBatch {
 public:
  explicit VerityBatch(MessageHasher& hasher) : hasher_(hasher) {}
  void digests(const VerityItem* items, size_t count);

 private:
  struct Level {
    Span bytes;
    size_t hashesAt = 0;
  };
  MessageHasher& hasher_;
  std::vector<Level> levels_;
  std::vector<uint8_t> hashes_, nextHashes_;
  std::vector<uint8_t> descriptors_;
  uint8_t lastBlocks_[MessageHasher::kLanes * kVerityBlock];
};

/** Digest of content that arrives in pieces; memory is one block per level of the tree. */
class VerityStream {
 public:
  explicit VerityStream(Algorithm algorithm);
  /** @param hasher of the same algorithm, usually the thread's */
  void update(MessageHasher& hasher, Span bytes);
  void finish(MessageHasher& hasher, uint8_t* digest);

 private:
  struct Level {
    uint8_t block[kVerityBlock];
    size_t filled = 0;
  };
  void addHash(MessageHasher& hasher, size_t level, const uint8_t* hash);
  Level& level(size_t index);

  const size_t hashBytes_;
  uint64_t size_ = 0;
  uint8_t pending_[kVerityBlock];
  size_t pendingBytes_ = 0;
  std::vector<std::unique_ptr<Level>> levels_;
};

}  // namespace cfs
