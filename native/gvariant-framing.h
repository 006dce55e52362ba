// Framing offsets: where the variable members of a GVariant container end.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cfs {

/** Bytes of each framing offset in a container of that size. */
inline size_t offsetWidth(uint64_t containerBytes) {
  return containerBytes <= 0xff ? 1 : containerBytes <= 0xffff ? 2 : containerBytes <= 0xffffffff ? 4 : 8;
}

/** What a writer uses: the smallest width that still fits with the offsets themselves counted. */
inline size_t writtenOffsetWidth(uint64_t bodyBytes, uint64_t offsets) {
  for (const size_t width : {1, 2, 4})
    if (bodyBytes + offsets * width <= (uint64_t{1} << (8 * width)) - 1) return width;
  return 8;
}

}  // namespace cfs
