// Raw deflate (RFC 1951) through the zlib inside node; whole small streams through libdeflate where it was linked.
#pragma once

#include "bytes.h"
#include "node-symbols.h"

namespace cfs {

enum class InflateResult {
  More,      // wants more input or more room
  End,       // the final block's end was reached
  Damaged,   // not a raw deflate stream
};

/** One raw deflate stream, in as many steps as needed. Throws std::bad_alloc. */
class Inflater {
 public:
  Inflater() = default;
  ~Inflater();
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  /** Begins a new stream. */
  void start();
  /**
   * @param in advanced past what was consumed
   * @param produced bytes written to `out`
   * @param last all input is there and `out` has room for all output: spares zlib its window
   */
  InflateResult run(Span& in, uint8_t* out, size_t room, size_t& produced, bool last = false);

 private:
  z_stream stream_ = {};
  bool ready_ = false;
};

enum class WholeResult { Exact, Damaged, Truncated, SizeDiffers, TrailingBytes };

/** Whole streams of known size. One per thread. */
class WholeInflater {
 public:
  ~WholeInflater();
  /** @param out has room for size + 1 bytes: the extra one tells a longer stream */
  WholeResult inflate(Span in, uint8_t* out, size_t size);
  /** The same by zlib alone: what libdeflate is compared with. */
  WholeResult inflateByZlib(Span in, uint8_t* out, size_t size);

 private:
  Inflater inflater_;
  void* fast_ = nullptr;
};

/** The most that one byte of deflate can stand for: a match of 258 bytes takes at least two bits. */
constexpr uint64_t kMaxInflateRatio = 1032;

const char* inflateEngine();

}  // namespace cfs
