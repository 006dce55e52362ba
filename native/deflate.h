// Raw deflate at ostree's level: whole contents through libdeflate where it was linked, larger ones through the zlib inside node.
#pragma once

#include <memory>
#include <vector>

#include "bytes.h"
#include "node-symbols.h"

namespace cfs {

/** What compresses whole contents: `libdeflate` or `zlib`. */
const char* deflateEngine();

/** Compresses one content after the other. One per thread. Throws std::bad_alloc. */
class Deflater {
 public:
  Deflater() = default;
  ~Deflater();
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;

  /** Appends one whole stream. */
  void deflateWhole(Span content, std::vector<uint8_t>& out);

  /** Begins a stream that comes in pieces. */
  void start();
  /** Appends what there is of the stream so far; with `last` all of it. */
  void run(Span piece, bool last, std::vector<uint8_t>& out);

 private:
  z_stream stream_ = {};
  bool ready_ = false;
  void* fast_ = nullptr;
};

}  // namespace cfs
