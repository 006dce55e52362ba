#include "commit-map.h"

#include <algorithm>

namespace cfs {

namespace {

/** Checksums are spread evenly, so a guess at the place comes close; bisection follows, for those of a stranger need not be. */
constexpr int kMostGuesses = 4;

uint32_t secondToFifth(const uint8_t* checksum) { return readBigEndian32(checksum + 1); }

/** How far into `count` places, of which there is one, a value from `low` to `high` is to be expected. */
size_t guess(uint32_t wanted, size_t count, uint32_t low, uint32_t high) {
  const uint64_t place = uint64_t{count} * (wanted - low) / (uint64_t{high} - low + 1);
  return static_cast<size_t>(std::min<uint64_t>(place, count - 1));  // more in a table that is not sorted
}

}  // namespace

CommitMapView::CommitMapView(Span content) : content_(content) {
  if (content.size < kChecksumsAt) return;
  count_ = bucketEnd(255);
  refsStart_ = kChecksumsAt + kSha256Bytes * count_;
  areaStart_ = refsStart_ + kRefBytes * count_;
  isSound_ = areaStart_ <= content.size;
}

int64_t CommitMapView::find(const uint8_t* checksum) const {
  size_t low = checksum[0] == 0 ? 0 : bucketEnd(checksum[0] - 1);
  size_t high = std::min(bucketEnd(checksum[0]), count_);
  const uint32_t wanted = secondToFifth(checksum);
  uint32_t lowValue = 0;
  uint32_t highValue = UINT32_MAX;
  for (int guesses = 0; low < high; guesses++) {
    size_t middle = low + (high - low) / 2;
    if (guesses < kMostGuesses) middle = low + guess(wanted, high - low, lowValue, highValue);
    const uint8_t* at = checksumAt(middle);
    const int order = std::memcmp(at, checksum, kSha256Bytes);
    if (order == 0) return static_cast<int64_t>(middle);
    if (order < 0) {
      low = middle + 1;
      lowValue = secondToFifth(at);
    } else {
      high = middle;
      highValue = secondToFifth(at);
    }
  }
  return -1;
}

void CommitMapView::prefetchSearch(const uint8_t* checksum) const {
  const size_t low = checksum[0] == 0 ? 0 : bucketEnd(checksum[0] - 1);
  const size_t high = std::min(bucketEnd(checksum[0]), count_);
  if (low < high) __builtin_prefetch(checksumAt(low + guess(secondToFifth(checksum), high - low, 0, UINT32_MAX)));
}

bool CommitMapView::dataAt(size_t index, Span& data) const {
  const uint64_t start = dataStartAt(index);
  const uint64_t size = refAt(index, 4);
  if (start + size > content_.size) return false;
  data = {content_.data + start, static_cast<size_t>(size)};
  return true;
}

}  // namespace cfs
