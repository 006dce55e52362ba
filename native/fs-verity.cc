#include "fs-verity.h"

#include <algorithm>

namespace cfs {

namespace {

constexpr size_t kDescriptorBytes = 256;

/** `struct fsverity_descriptor`: version 1, algorithm, log2 block size, salt size 0, content size, root hash. */
void writeDescriptor(uint8_t* descriptor, Algorithm algorithm, uint64_t contentBytes, const uint8_t* root) {
  std::memset(descriptor, 0, kDescriptorBytes);
  descriptor[0] = 1;
  descriptor[1] = static_cast<uint8_t>(algorithm);
  descriptor[2] = 12;
  writeLittleEndian(descriptor + 8, contentBytes, 8);
  if (root != nullptr) std::memcpy(descriptor + 16, root, digestBytes(algorithm));
}

size_t blockCount(size_t bytes) { return bytes / kVerityBlock + (bytes % kVerityBlock != 0); }

}  // namespace

void VerityBatch::digests(const VerityItem* items, size_t count) {
  const size_t hashBytes = digestBytes(hasher_.algorithm());
  levels_.resize(count);
  for (size_t i = 0; i < count; i++) levels_[i] = {items[i].content, 0};

  // level after level, until each content has at most one hash: that is its root
  for (bool first = true, more = true; more; first = false) {
    size_t total = 0;
    for (Level& level : levels_) total += first || level.bytes.size > hashBytes ? blockCount(level.bytes.size) * hashBytes : hashBytes;
    nextHashes_.resize(std::max(total, size_t{1}));
    LaneQueue lanes(hasher_, kVerityBlock);
    size_t at = 0;
    more = false;
    for (Level& level : levels_) {
      level.hashesAt = at;
      if (!first && level.bytes.size <= hashBytes) {  // has its root already
        if (level.bytes.size != 0) std::memcpy(nextHashes_.data() + at, level.bytes.data, hashBytes);
        at += hashBytes;
        continue;
      }
      size_t offset = 0;
      for (; level.bytes.size - offset >= kVerityBlock; offset += kVerityBlock, at += hashBytes)
        lanes.add(level.bytes.data + offset, nextHashes_.data() + at);
      if (offset < level.bytes.size) {
        uint8_t* last = lastBlocks_ + lanes.waiting() * kVerityBlock;
        const size_t rest = level.bytes.size - offset;
        std::memcpy(last, level.bytes.data + offset, rest);
        std::memset(last + rest, 0, kVerityBlock - rest);
        lanes.add(last, nextHashes_.data() + at);
        at += hashBytes;
      }
      if (at - level.hashesAt > hashBytes) more = true;
    }
    lanes.flush();
    hashes_.swap(nextHashes_);
    for (size_t i = 0; i < count; i++) {
      const size_t end = i + 1 < count ? levels_[i + 1].hashesAt : at;
      levels_[i].bytes = {hashes_.data() + levels_[i].hashesAt, items[i].content.size == 0 ? 0 : end - levels_[i].hashesAt};
    }
  }

  descriptors_.resize(std::max(count, size_t{1}) * kDescriptorBytes);
  LaneQueue lanes(hasher_, kDescriptorBytes);
  for (size_t i = 0; i < count; i++) {
    uint8_t* descriptor = descriptors_.data() + i * kDescriptorBytes;
    const uint8_t* root = items[i].content.size == 0 ? nullptr : levels_[i].bytes.data;
    writeDescriptor(descriptor, hasher_.algorithm(), items[i].content.size, root);
    lanes.add(descriptor, items[i].digest);
  }
  lanes.flush();
}

VerityStream::VerityStream(Algorithm algorithm) : hashBytes_(digestBytes(algorithm)) {}

VerityStream::Level& VerityStream::level(size_t index) {
  if (index == levels_.size()) levels_.push_back(std::make_unique<Level>());
  return *levels_[index];
}

void VerityStream::addHash(MessageHasher& hasher, size_t index, const uint8_t* hash) {
  Level* to = &level(index);
  if (to->filled == kVerityBlock) {  // only when one more arrives: a full block may be the root's own
    uint8_t up[kMaxDigestBytes];
    const uint8_t* block = to->block;
    uint8_t* digest = up;
    hasher.hash(&block, &digest, 1, kVerityBlock);
    addHash(hasher, index + 1, up);
    to->filled = 0;
  }
  std::memcpy(to->block + to->filled, hash, hashBytes_);
  to->filled += hashBytes_;
}

void VerityStream::update(MessageHasher& hasher, Span bytes) {
  size_ += bytes.size;
  uint8_t hashes[MessageHasher::kLanes * kMaxDigestBytes];
  const uint8_t* messages[MessageHasher::kLanes];
  uint8_t* digests[MessageHasher::kLanes];
  size_t count = 0;
  const auto hashCollected = [&] {
    hasher.hash(messages, digests, count, kVerityBlock);
    for (size_t i = 0; i < count; i++) addHash(hasher, 0, digests[i]);
    count = 0;
  };
  const auto collect = [&](const uint8_t* block) {
    messages[count] = block;
    digests[count] = hashes + count * hashBytes_;
    if (++count == MessageHasher::kLanes) hashCollected();
  };

  if (pendingBytes_ != 0) {
    const size_t take = std::min(kVerityBlock - pendingBytes_, bytes.size);
    std::memcpy(pending_ + pendingBytes_, bytes.data, take);
    pendingBytes_ += take;
    bytes = bytes.from(take);
    if (pendingBytes_ < kVerityBlock) return;
    collect(pending_);
  }
  for (; bytes.size >= kVerityBlock; bytes = bytes.from(kVerityBlock)) collect(bytes.data);
  if (count != 0) hashCollected();
  if (bytes.size != 0) std::memcpy(pending_, bytes.data, bytes.size);
  pendingBytes_ = bytes.size;
}

void VerityStream::finish(MessageHasher& hasher, uint8_t* digest) {
  uint8_t hash[kMaxDigestBytes];
  const auto hashOne = [&](const uint8_t* message, size_t messageBytes, uint8_t* to) { hasher.hash(&message, &to, 1, messageBytes); };
  if (pendingBytes_ != 0) {
    std::memset(pending_ + pendingBytes_, 0, kVerityBlock - pendingBytes_);
    hashOne(pending_, kVerityBlock, hash);
    addHash(hasher, 0, hash);
  }
  const uint8_t* root = nullptr;
  for (size_t i = 0; i < levels_.size(); i++) {
    Level& top = *levels_[i];
    if (i + 1 == levels_.size() && top.filled == hashBytes_) {
      root = top.block;
      break;
    }
    std::memset(top.block + top.filled, 0, kVerityBlock - top.filled);
    hashOne(top.block, kVerityBlock, hash);
    addHash(hasher, i + 1, hash);
  }
  uint8_t descriptor[kDescriptorBytes];
  writeDescriptor(descriptor, hasher.algorithm(), size_, root);
  hashOne(descriptor, kDescriptorBytes, digest);
}

}  // namespace cfs
