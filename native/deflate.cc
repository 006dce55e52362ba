#include "deflate.h"

#include <algorithm>
#include <new>

#ifdef CFS_LIBDEFLATE_COMPRESSOR
#include <libdeflate.h>
#endif

namespace cfs {

namespace {
/** libostree's default, and zlib's. */
constexpr int kLevel = 6;
// zlib.h
constexpr int kNoFlush = 0;
constexpr int kFinish = 4;
constexpr int kOk = 0;
constexpr int kStreamEnd = 1;
constexpr int kBufferError = -5;
constexpr int kDeflated = 8;
constexpr int kRawWindowBits = -15;
constexpr int kDefaultMemory = 8;
constexpr int kDefaultStrategy = 0;
constexpr char kInterfaceVersion[] = "1.2.11";
constexpr size_t kMostPerCall = size_t{1} << 30;  // its counters have 32 bits
/** Room that is made for what comes out, each time. */
constexpr size_t kOutputStep = 64 * 1024;
}  // namespace

const char* deflateEngine() {
#ifdef CFS_LIBDEFLATE_COMPRESSOR
  return "libdeflate";
#else
  return "zlib";
#endif
}

Deflater::~Deflater() {
  if (ready_) deflateEnd(&stream_);
#ifdef CFS_LIBDEFLATE_COMPRESSOR
  if (fast_ != nullptr) libdeflate_free_compressor(static_cast<libdeflate_compressor*>(fast_));
#endif
}

void Deflater::deflateWhole(Span content, std::vector<uint8_t>& out) {
#ifdef CFS_LIBDEFLATE_COMPRESSOR
  if (fast_ == nullptr) fast_ = libdeflate_alloc_compressor(kLevel);
  if (fast_ == nullptr) throw std::bad_alloc();
  auto* compressor = static_cast<libdeflate_compressor*>(fast_);
  const size_t before = out.size();
  out.resize(before + libdeflate_deflate_compress_bound(compressor, content.size));
  const size_t bytes = libdeflate_deflate_compress(compressor, content.data, content.size, out.data() + before, out.size() - before);
  out.resize(before + bytes);
  if (bytes != 0) return;  // 0: did not fit, which the bound rules out
#endif
  start();
  run(content, true, out);
}

void Deflater::start() {
  if (ready_) {
    deflateReset(&stream_);
    return;
  }
  if (deflateInit2_(&stream_, kLevel, kDeflated, kRawWindowBits, kDefaultMemory, kDefaultStrategy, kInterfaceVersion,
                    sizeof stream_) != kOk)
    throw std::bad_alloc();
  ready_ = true;
}

void Deflater::run(Span piece, bool last, std::vector<uint8_t>& out) {
  for (;;) {
    const auto give = static_cast<unsigned>(std::min(piece.size, kMostPerCall));
    const size_t before = out.size();
    out.resize(before + kOutputStep);
    stream_.next_in = piece.data;
    stream_.avail_in = give;
    stream_.next_out = out.data() + before;
    stream_.avail_out = kOutputStep;
    const int result = ::deflate(&stream_, last && give == piece.size ? kFinish : kNoFlush);
    piece = piece.from(give - stream_.avail_in);
    out.resize(out.size() - stream_.avail_out);
    if (result == kStreamEnd) return;
    if (result != kOk && result != kBufferError) throw std::bad_alloc();
    if (!last && piece.size == 0 && stream_.avail_out != 0) return;
  }
}

}  // namespace cfs
