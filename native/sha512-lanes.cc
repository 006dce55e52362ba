// SHA-512 (FIPS 180-4) of eight messages at once: each 64-bit lane of an AVX-512 register belongs to one message.
#if defined(__x86_64__)

#pragma GCC diagnostic ignored "-Wuninitialized"  // GCC 12 means its own "undefined" operands in immintrin.h
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>

#include "sha.h"

namespace cfs {

namespace {

alignas(64) constexpr uint64_t kRound[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc, 0x3956c25bf348b538,
    0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118, 0xd807aa98a3030242, 0x12835b0145706fbe,
    0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2, 0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235,
    0xc19bf174cf692694, 0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5, 0x983e5152ee66dfab,
    0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4, 0xc6e00bf33da88fc2, 0xd5a79147930aa725,
    0x06ca6351e003826f, 0x142929670a0e6e70, 0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed,
    0x53380d139d95b3df, 0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30, 0xd192e819d6ef5218,
    0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8, 0x19a4c116b8d2d0c8, 0x1e376c085141ab53,
    0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8, 0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373,
    0x682e6ff3d6b2b8a3, 0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b, 0xca273eceea26619c,
    0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178, 0x06f067aa72176fba, 0x0a637dc5a2c898a6,
    0x113f9804bef90dae, 0x1b710b35131c471b, 0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc,
    0x431d67c49c100d4c, 0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817};

constexpr uint64_t kInitial[8] = {0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
                                  0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};

#define LANES_TARGET __attribute__((target("avx512f,avx512bw,avx512vl"), always_inline)) inline

using Vector = __m512i;

LANES_TARGET Vector add(Vector a, Vector b) { return _mm512_add_epi64(a, b); }
LANES_TARGET Vector xor3(Vector a, Vector b, Vector c) { return _mm512_ternarylogic_epi64(a, b, c, 0x96); }
LANES_TARGET Vector choose(Vector x, Vector y, Vector z) { return _mm512_ternarylogic_epi64(x, y, z, 0xca); }
LANES_TARGET Vector majority(Vector x, Vector y, Vector z) { return _mm512_ternarylogic_epi64(x, y, z, 0xe8); }
LANES_TARGET Vector bigSigma0(Vector x) {
  return xor3(_mm512_ror_epi64(x, 28), _mm512_ror_epi64(x, 34), _mm512_ror_epi64(x, 39));
}
LANES_TARGET Vector bigSigma1(Vector x) {
  return xor3(_mm512_ror_epi64(x, 14), _mm512_ror_epi64(x, 18), _mm512_ror_epi64(x, 41));
}
LANES_TARGET Vector smallSigma0(Vector x) {
  return xor3(_mm512_ror_epi64(x, 1), _mm512_ror_epi64(x, 8), _mm512_srli_epi64(x, 7));
}
LANES_TARGET Vector smallSigma1(Vector x) {
  return xor3(_mm512_ror_epi64(x, 19), _mm512_ror_epi64(x, 61), _mm512_srli_epi64(x, 6));
}

/** Turns eight rows of eight words into eight columns: rows[i] word j ↔ rows[j] word i. */
LANES_TARGET void transpose(Vector rows[8]) {
  Vector a[8], b[8];
  for (int i = 0; i < 8; i += 2) {
    a[i] = _mm512_unpacklo_epi64(rows[i], rows[i + 1]);
    a[i + 1] = _mm512_unpackhi_epi64(rows[i], rows[i + 1]);
  }
  for (int i = 0; i < 8; i += 4)
    for (int j = 0; j < 2; j++) {
      b[i + j] = _mm512_shuffle_i64x2(a[i + j], a[i + j + 2], 0x88);
      b[i + j + 2] = _mm512_shuffle_i64x2(a[i + j], a[i + j + 2], 0xdd);
    }
  for (int i = 0; i < 4; i++) {
    rows[i] = _mm512_shuffle_i64x2(b[i], b[i + 4], 0x88);
    rows[i + 4] = _mm512_shuffle_i64x2(b[i], b[i + 4], 0xdd);
  }
}

LANES_TARGET void oneRound(Vector s[8], int shift, Vector wordPlusConstant) {
  // the eight working variables rotate by renaming: `shift` is constant after unrolling
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
  for (int t = 0; t < 16; t++) oneRound(s, t & 7, add(w[t], _mm512_set1_epi64(static_cast<long long>(kRound[t]))));
  for (int base = 16; base < 80; base += 16) {
#pragma GCC unroll 16
    for (int t = 0; t < 16; t++) {
      w[t] = add(add(w[t], smallSigma0(w[(t + 1) & 15])), add(w[(t + 9) & 15], smallSigma1(w[(t + 14) & 15])));
      oneRound(s, t & 7, add(w[t], _mm512_set1_epi64(static_cast<long long>(kRound[base + t]))));
    }
  }
  for (int i = 0; i < 8; i++) state[i] = add(state[i], s[i]);
}

}  // namespace

__attribute__((target("avx512f,avx512bw,avx512vl"))) void sha512Lanes(const uint8_t* const messages[8],
                                                                     uint8_t* const digests[8], size_t messageBytes) {
  const Vector swap = _mm512_broadcast_i32x4(_mm_set_epi64x(0x08090a0b0c0d0e0f, 0x0001020304050607));
  Vector state[8], w[16];
  for (int i = 0; i < 8; i++) state[i] = _mm512_set1_epi64(static_cast<long long>(kInitial[i]));
  for (size_t at = 0; at < messageBytes; at += 128) {
    for (int half = 0; half < 2; half++) {
      for (int lane = 0; lane < 8; lane++)
        w[8 * half + lane] = _mm512_shuffle_epi8(_mm512_loadu_si512(messages[lane] + at + 64 * half), swap);
      transpose(w + 8 * half);
    }
    compress(state, w);
  }
  w[0] = _mm512_set1_epi64(static_cast<long long>(0x8000000000000000));
  for (int i = 1; i < 15; i++) w[i] = _mm512_setzero_si512();
  w[15] = _mm512_set1_epi64(static_cast<long long>(messageBytes * 8));
  compress(state, w);
  transpose(state);
  for (int lane = 0; lane < 8; lane++) _mm512_storeu_si512(digests[lane], _mm512_shuffle_epi8(state[lane], swap));
}

}  // namespace cfs

#endif
