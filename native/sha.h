// SHA-256 and SHA-512: one long message through OpenSSL, or many short ones of equal length at once.
#pragma once

#include <cstddef>
#include <cstdint>

#include "bytes.h"
#include "node-symbols.h"

namespace cfs {

/** The kernel's FS_VERITY_HASH_ALG_* numbers. */
enum class Algorithm : uint8_t { Sha256 = 1, Sha512 = 2 };

constexpr size_t kSha256Bytes = 32;
constexpr size_t kSha256Block = 64;
constexpr size_t kSha256Lanes = 16;
constexpr size_t kMaxDigestBytes = 64;
constexpr size_t digestBytes(Algorithm algorithm) { return algorithm == Algorithm::Sha256 ? 32 : 64; }

/** What OpenSSL's functions return. @throws std::runtime_error unless it is 1 */
void requireHashed(int result);

/** A reusable hashing context. Throws std::runtime_error when OpenSSL refuses, which a working one never does. */
class Sha {
 public:
  explicit Sha(Algorithm algorithm);
  ~Sha();
  Sha(const Sha&) = delete;
  Sha& operator=(const Sha&) = delete;

  void start();
  void update(Span bytes);
  /** Afterwards start() begins the next message. */
  void finish(uint8_t* digest);
  /** One whole message. */
  void hash(Span message, uint8_t* digest);

 private:
  evp_md_ctx_st* context_;
};

enum class ShaEngine : uint8_t { Evp, Avx512 };
/** The fastest engine for equal messages that this CPU has. */
ShaEngine bestShaEngine();

/** Hashes messages of one length, several at a time. For fs-verity: blocks of 4096 and descriptors of 256 bytes. */
class MessageHasher {
 public:
  /** Most messages that are worth collecting for one call. */
  static constexpr size_t kLanes = 16;

  MessageHasher(Algorithm algorithm, ShaEngine engine) : algorithm_(algorithm), engine_(engine), one_(algorithm) {}
  /**
   * @param count at most kLanes
   * @param messageBytes the same for all, a multiple of 128
   */
  void hash(const uint8_t* const* messages, uint8_t* const* digests, size_t count, size_t messageBytes);
  Algorithm algorithm() const { return algorithm_; }

 private:
  Algorithm algorithm_;
  ShaEngine engine_;
  Sha one_;
};

#if defined(__x86_64__)
/** 8 messages at once; needs AVX-512 F, BW, VL. */
void sha512Lanes(const uint8_t* const messages[8], uint8_t* const digests[8], size_t messageBytes);
/** 16 messages at once; needs the same. */
void sha256Lanes(const uint8_t* const messages[kSha256Lanes], uint8_t* const digests[kSha256Lanes], size_t messageBytes);
/** The eight words of each message's state: a row for each word. */
struct alignas(64) Sha256LaneStates {
  uint32_t words[8][kSha256Lanes];
};
/** Takes `blocks` more blocks of each message into its state. */
void sha256LanesAdvance(Sha256LaneStates& states, const uint8_t* const messages[kSha256Lanes], size_t blocks);
#endif

}  // namespace cfs
