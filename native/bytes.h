// Byte ranges and the two byte orders.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace cfs {

/** Somebody else's bytes. */
struct Span {
  const uint8_t* data = nullptr;
  size_t size = 0;

  Span from(size_t start) const { return {data + start, size - start}; }
  Span slice(size_t start, size_t end) const { return {data + start, end - start}; }
};

inline uint32_t readBigEndian32(const uint8_t* at) {
  return uint32_t{at[0]} << 24 | uint32_t{at[1]} << 16 | uint32_t{at[2]} << 8 | uint32_t{at[3]};
}

inline uint64_t readBigEndian64(const uint8_t* at) {
  return uint64_t{readBigEndian32(at)} << 32 | readBigEndian32(at + 4);
}

inline void writeBigEndian32(uint8_t* at, uint32_t value) {
  for (int i = 0; i < 4; i++) at[i] = static_cast<uint8_t>(value >> (24 - 8 * i));
}

inline void writeBigEndian64(uint8_t* at, uint64_t value) {
  writeBigEndian32(at, static_cast<uint32_t>(value >> 32));
  writeBigEndian32(at + 4, static_cast<uint32_t>(value));
}

/** `width` is 1, 2, 4 or 8. */
inline uint64_t readLittleEndian(const uint8_t* at, size_t width) {
  uint64_t value = 0;
  for (size_t i = 0; i < width; i++) value |= uint64_t{at[i]} << (8 * i);
  return value;
}

inline void writeLittleEndian(uint8_t* at, uint64_t value, size_t width) {
  for (size_t i = 0; i < width; i++) at[i] = static_cast<uint8_t>(value >> (8 * i));
}

}  // namespace cfs
