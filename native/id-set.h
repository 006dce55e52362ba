// A set of very many digests.
#pragma once

#include <sys/random.h>

#include <vector>

#include "js.h"

namespace cfs {

/** Ids of one algorithm, by their first 32 bytes: as good as all of them. */
class IdSet {
 public:
  IdSet() {
    // ids come from strangers' streams: without secret factors they could choose ones that all collide
    if (::getrandom(factors_, sizeof factors_, 0) != sizeof factors_) throw SystemProblem{errno, "getrandom"};
    for (uint64_t& factor : factors_) factor |= 1;
  }

  void add(const uint8_t* id) {
    makeRoom(count_ + 1);
    if (put(id)) count_++;
  }

  /** For so many in all: the table grows once for them. */
  void makeRoom(size_t count) {
    size_t slots = std::max(slots_, kFewestSlots);
    while (count * 4 > slots * 3) slots *= 2;
    if (slots > slots_) grow(slots);
  }

  bool has(const uint8_t* id) const {
    if (slots_ == 0) return false;
    const Key key = load(id);
    for (size_t slot = slotOf(key);; slot = (slot + 1) & (slots_ - 1)) {
      if (!used_[slot]) return false;
      if (keys_[slot] == key) return true;
    }
  }

 private:
  struct Key {
    uint64_t words[4];
    bool operator==(const Key& other) const { return std::memcmp(words, other.words, sizeof words) == 0; }
  };
  static constexpr size_t kFewestSlots = 1024;

  static Key load(const uint8_t* id) {
    Key key;
    std::memcpy(key.words, id, sizeof key.words);
    return key;
  }

  size_t slotOf(const Key& key) const {
    uint64_t hash = 0;
    for (int i = 0; i < 4; i++) hash += key.words[i] * factors_[i];
    return (hash ^ hash >> 32) * factors_[4] >> shift_;
  }

  bool put(const uint8_t* id) {
    const Key key = load(id);
    size_t slot = slotOf(key);
    for (; used_[slot]; slot = (slot + 1) & (slots_ - 1))
      if (keys_[slot] == key) return false;
    keys_[slot] = key;
    used_[slot] = true;
    return true;
  }

  void grow(size_t slots) {
    const std::vector<Key> keys(std::move(keys_));
    const std::vector<uint8_t> used(std::move(used_));
    keys_.assign(slots, Key{});
    used_.assign(slots, 0);
    slots_ = slots;
    shift_ = 64 - __builtin_ctzll(slots);
    for (size_t i = 0; i < used.size(); i++)
      if (used[i]) put(reinterpret_cast<const uint8_t*>(keys[i].words));
  }

  uint64_t factors_[5];
  size_t slots_ = 0, count_ = 0;
  int shift_ = 0;
  std::vector<Key> keys_;
  std::vector<uint8_t> used_;
};

}  // namespace cfs
