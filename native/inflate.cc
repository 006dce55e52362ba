#include "inflate.h"

#include <algorithm>
#include <new>

#ifdef CFS_LIBDEFLATE
#include <libdeflate.h>
#endif

namespace cfs {

namespace {
// zlib.h
constexpr int kNoFlush = 0;
constexpr int kFinish = 4;
constexpr int kOk = 0;
constexpr int kStreamEnd = 1;
constexpr int kBufferError = -5;
constexpr int kMemoryError = -4;
constexpr int kRawWindowBits = -15;
constexpr char kInterfaceVersion[] = "1.2.11";
constexpr size_t kMostPerCall = size_t{1} << 30;  // its counters have 32 bits
}  // namespace

Inflater::~Inflater() {
  if (ready_) inflateEnd(&stream_);
}

void Inflater::start() {
  if (ready_) {
    inflateReset(&stream_);
    return;
  }
  if (inflateInit2_(&stream_, kRawWindowBits, kInterfaceVersion, sizeof stream_) != kOk) throw std::bad_alloc();
  ready_ = true;
}

InflateResult Inflater::run(Span& in, uint8_t* out, size_t room, size_t& produced, bool last) {
  produced = 0;
  for (;;) {
    const auto give = static_cast<unsigned>(std::min(in.size, kMostPerCall));
    const auto space = static_cast<unsigned>(std::min(room - produced, kMostPerCall));
    stream_.next_in = in.data;
    stream_.avail_in = give;
    stream_.next_out = out + produced;
    stream_.avail_out = space;
    const int result = ::inflate(&stream_, last && give == in.size ? kFinish : kNoFlush);
    in = in.from(give - stream_.avail_in);
    produced += space - stream_.avail_out;
    if (result == kStreamEnd) return InflateResult::End;
    if (result == kMemoryError) throw std::bad_alloc();
    if (result != kOk && result != kBufferError) return InflateResult::Damaged;
    if (in.size == 0 || produced == room) return InflateResult::More;
  }
}

#ifdef CFS_LIBDEFLATE
WholeInflater::~WholeInflater() {
  if (fast_ != nullptr) libdeflate_free_decompressor(static_cast<libdeflate_decompressor*>(fast_));
}
const char* inflateEngine() { return "libdeflate"; }
#else
WholeInflater::~WholeInflater() = default;
const char* inflateEngine() { return "zlib"; }
#endif

WholeResult WholeInflater::inflate(Span in, uint8_t* out, size_t size) {
#ifdef CFS_LIBDEFLATE
  if (fast_ == nullptr) fast_ = libdeflate_alloc_decompressor();
  if (fast_ == nullptr) throw std::bad_alloc();
  size_t consumed = 0, written = 0;
  if (libdeflate_deflate_decompress_ex(static_cast<libdeflate_decompressor*>(fast_), in.data, in.size, out, size, &consumed, &written) ==
          LIBDEFLATE_SUCCESS && consumed == in.size && written == size)
    return WholeResult::Exact;
  // it does not say what is wrong: zlib does
#endif
  return inflateByZlib(in, out, size);
}

WholeResult WholeInflater::inflateByZlib(Span in, uint8_t* out, size_t size) {
  inflater_.start();
  size_t produced = 0;
  switch (inflater_.run(in, out, size + 1, produced, true)) {
    case InflateResult::Damaged: return WholeResult::Damaged;
    case InflateResult::More: return produced > size ? WholeResult::SizeDiffers : WholeResult::Truncated;
    case InflateResult::End: break;
  }
  if (produced != size) return WholeResult::SizeDiffers;
  return in.size == 0 ? WholeResult::Exact : WholeResult::TrailingBytes;
}

}  // namespace cfs
