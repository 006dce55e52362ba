// The order in which rows with contents are taken in shares.
#pragma once

#include <algorithm>
#include <numeric>
#include <vector>

namespace cfs {

/** Row numbers. Files of one share are hashed side by side: best when they end together; and the longest share is not to be the last one. */
template <typename Size>
std::vector<size_t> largestFirst(const std::vector<Size>& sizes) {
  std::vector<size_t> order(sizes.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return sizes[a] > sizes[b]; });
  return order;
}

}  // namespace cfs
