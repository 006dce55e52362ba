// SHA-256 (FIPS 180-4) of sixteen messages at once: each 32-bit lane of an AVX-512 register belongs to one message.
#if defined(__x86_64__)

#pragma GCC diagnostic ignored "-Wuninitialized"  // GCC 12 means its own "undefined" operands in immintrin.h
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>

#include "sha.h"

namespace cfs {

namespace {

alignas(64) constexpr uint32_t kRound[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

constexpr uint32_t kInitial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

#define LANES_TARGET __attribute__((target("avx512f,avx512bw,avx512vl"), always_inline)) inline

using Vector = __m512i;

LANES_TARGET Vector add(Vector a, Vector b) { return _mm512_add_epi32(a, b); }
LANES_TARGET Vector xor3(Vector a, Vector b, Vector c) { return _mm512_ternarylogic_epi32(a, b, c, 0x96); }
LANES_TARGET Vector choose(Vector x, Vector y, Vector z) { return _mm512_ternarylogic_epi32(x, y, z, 0xca); }
LANES_TARGET Vector majority(Vector x, Vector y, Vector z) { return _mm512_ternarylogic_epi32(x, y, z, 0xe8); }
LANES_TARGET Vector bigSigma0(Vector x) {
  return xor3(_mm512_ror_epi32(x, 2), _mm512_ror_epi32(x, 13), _mm512_ror_epi32(x, 22));
}
LANES_TARGET Vector bigSigma1(Vector x) {
  return xor3(_mm512_ror_epi32(x, 6), _mm512_ror_epi32(x, 11), _mm512_ror_epi32(x, 25));
}
LANES_TARGET Vector smallSigma0(Vector x) {
  return xor3(_mm512_ror_epi32(x, 7), _mm512_ror_epi32(x, 18), _mm512_srli_epi32(x, 3));
}
LANES_TARGET Vector smallSigma1(Vector x) {
  return xor3(_mm512_ror_epi32(x, 17), _mm512_ror_epi32(x, 19), _mm512_srli_epi32(x, 10));
}

/** Turns sixteen rows of sixteen words into columns. */
LANES_TARGET void transpose(Vector r[16]) {
  Vector a[16];
  for (int i = 0; i < 16; i += 2) {  // pairs of words
    a[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    a[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {  // fours: r[i + k] has word 4q+k of rows i…i+3 in its quarter q
    r[i] = _mm512_unpacklo_epi64(a[i], a[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(a[i], a[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(a[i + 1], a[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(a[i + 1], a[i + 3]);
  }
  for (int k = 0; k < 4; k++) {  // quarters: a[k + 4q] gets word 4q+k of all rows
    const Vector low0 = _mm512_shuffle_i32x4(r[k], r[k + 4], 0x88);
    const Vector high0 = _mm512_shuffle_i32x4(r[k], r[k + 4], 0xdd);
    const Vector low1 = _mm512_shuffle_i32x4(r[k + 8], r[k + 12], 0x88);
    const Vector high1 = _mm512_shuffle_i32x4(r[k + 8], r[k + 12], 0xdd);
    a[k] = _mm512_shuffle_i32x4(low0, low1, 0x88);
    a[k + 8] = _mm512_shuffle_i32x4(low0, low1, 0xdd);
    a[k + 4] = _mm512_shuffle_i32x4(high0, high1, 0x88);
    a[k + 12] = _mm512_shuffle_i32x4(high0, high1, 0xdd);
  }
  for (int i = 0; i < 16; i++) r[i] = a[i];
}

LANES_TARGET void oneRound(Vector s[8], int shift, Vector wordPlusConstant) {
  Vector& a = s[(0 - shift) & 7];
  Vector& b = s[(1 - shift) & 7];
  Vector& c = s[(2 - shift) & 7];
  Vector& d = s[(3 - shift) & 7];
  Vector& e = s[(4 - shift) & 7];
  Vector& f = s[(5 - shift) & 7];
  Vector& g = s[(6 - shift) & 7];
  Vector& h = s[(7 - shift) & 7];
  const Vector t1 = add(add(h, wordPlusConstant), add(bigSigma1(e), choose(e, f, g)));
  const Vector t2 = add(bigSigma0(a), majority(a, b, c));
  d = add(d, t1);
  h = add(t1, t2);
}

LANES_TARGET void compress(Vector state[8], Vector w[16]) {
  Vector s[8];
  for (int i = 0; i < 8; i++) s[i] = state[i];
#pragma GCC unroll 16
  for (int t = 0; t < 16; t++) oneRound(s, t & 7, add(w[t], _mm512_set1_epi32(static_cast<int>(kRound[t]))));
  for (int base = 16; base < 64; base += 16) {
#pragma GCC unroll 16
    for (int t = 0; t < 16; t++) {
      w[t] = add(add(w[t], smallSigma0(w[(t + 1) & 15])), add(w[(t + 9) & 15], smallSigma1(w[(t + 14) & 15])));
      oneRound(s, t & 7, add(w[t], _mm512_set1_epi32(static_cast<int>(kRound[base + t]))));
    }
  }
  for (int i = 0; i < 8; i++) state[i] = add(state[i], s[i]);
}

}  // namespace

#define LANES_ENTRY __attribute__((target("avx512f,avx512bw,avx512vl")))

LANES_ENTRY void sha256LanesAdvance(Sha256LaneStates& states, const uint8_t* const messages[kSha256Lanes], size_t blocks) {
  const Vector swap = _mm512_broadcast_i32x4(_mm_set_epi32(0x0c0d0e0f, 0x08090a0b, 0x04050607, 0x00010203));
  Vector state[8], w[16];
  for (int i = 0; i < 8; i++) state[i] = _mm512_load_si512(states.words[i]);
  for (size_t at = 0; at < blocks * kSha256Block; at += kSha256Block) {
    for (int lane = 0; lane < 16; lane++) w[lane] = _mm512_shuffle_epi8(_mm512_loadu_si512(messages[lane] + at), swap);
    transpose(w);
    compress(state, w);
  }
  for (int i = 0; i < 8; i++) _mm512_store_si512(states.words[i], state[i]);
}

LANES_ENTRY void sha256Lanes(const uint8_t* const messages[kSha256Lanes], uint8_t* const digests[kSha256Lanes], size_t messageBytes) {
  Sha256LaneStates states;
  for (int i = 0; i < 8; i++) _mm512_store_si512(states.words[i], _mm512_set1_epi32(static_cast<int>(kInitial[i])));
  sha256LanesAdvance(states, messages, messageBytes / kSha256Block);
  // all that follows is padding, the same for all
  uint8_t padding[kSha256Block] = {0x80};
  writeBigEndian64(padding + kSha256Block - 8, uint64_t{messageBytes} * 8);
  const uint8_t* last[kSha256Lanes];
  for (const uint8_t*& block : last) block = padding;
  sha256LanesAdvance(states, last, 1);
  for (size_t lane = 0; lane < kSha256Lanes; lane++)
    for (size_t i = 0; i < 8; i++) writeBigEndian32(digests[lane] + 4 * i, states.words[i][lane]);
}

}  // namespace cfs

#endif
