#include "sha.h"

#include <stdexcept>

namespace cfs {

void requireHashed(int result) {
  if (result != 1) throw std::runtime_error("OpenSSL refused to hash");
}

Sha::Sha(Algorithm algorithm) : context_(EVP_MD_CTX_new()) {
  if (context_ == nullptr) throw std::bad_alloc();
  // the type is looked up here, once; start() only rewinds
  const int result = EVP_DigestInit_ex(context_, algorithm == Algorithm::Sha256 ? EVP_sha256() : EVP_sha512(), nullptr);
  if (result != 1) EVP_MD_CTX_free(context_);
  requireHashed(result);
}

Sha::~Sha() { EVP_MD_CTX_free(context_); }

void Sha::start() {
  requireHashed(EVP_DigestInit_ex(context_, nullptr, nullptr));
}

void Sha::update(Span bytes) {
  if (bytes.size != 0) requireHashed(EVP_DigestUpdate(context_, bytes.data, bytes.size));
}

void Sha::finish(uint8_t* digest) {
  requireHashed(EVP_DigestFinal_ex(context_, digest, nullptr));
}

void Sha::hash(Span message, uint8_t* digest) {
  start();
  update(message);
  finish(digest);
}

ShaEngine bestShaEngine() {
#if defined(__x86_64__)
  static const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                             __builtin_cpu_supports("avx512vl");
  if (avx512) return ShaEngine::Avx512;
#endif
  return ShaEngine::Evp;
}

namespace {

#if defined(__x86_64__)
/** Fewer messages than this are faster one after the other (a full set costs as much as about three SHA-512, four SHA-256). */
constexpr size_t kFewestForSha512 = 4;
constexpr size_t kFewestForSha256 = 8;

template <size_t kLanes>
void hashLanes(void (*lanes)(const uint8_t* const*, uint8_t* const*, size_t), const uint8_t* const* messages,
               uint8_t* const* digests, size_t count, size_t messageBytes) {
  const uint8_t* in[kLanes];
  uint8_t* out[kLanes];
  uint8_t unused[kMaxDigestBytes];
  for (size_t i = 0; i < kLanes; i++) {
    in[i] = messages[i < count ? i : 0];
    out[i] = i < count ? digests[i] : unused;
  }
  lanes(in, out, messageBytes);
}
#endif

}  // namespace

void MessageHasher::hash(const uint8_t* const* messages, uint8_t* const* digests, size_t count, size_t messageBytes) {
  size_t done = 0;
#if defined(__x86_64__)
  if (engine_ == ShaEngine::Avx512) {
    const bool is256 = algorithm_ == Algorithm::Sha256;
    const size_t width = is256 ? 16 : 8;
    const size_t fewest = is256 ? kFewestForSha256 : kFewestForSha512;
    while (count - done >= fewest) {
      const size_t now = count - done < width ? count - done : width;
      if (is256)
        hashLanes<16>(sha256Lanes, messages + done, digests + done, now, messageBytes);
      else
        hashLanes<8>(sha512Lanes, messages + done, digests + done, now, messageBytes);
      done += now;
    }
  }
#endif
  for (; done < count; done++) one_.hash({messages[done], messageBytes}, digests[done]);
}

}  // namespace cfs
