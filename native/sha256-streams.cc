#include "sha256-streams.h"

#include <algorithm>

namespace cfs {

Sha256Stream::Sha256Stream() { requireHashed(SHA256_Init(&state_)); }

void Sha256Stream::update(Span bytes) {
  if (bytes.size != 0) requireHashed(SHA256_Update(&state_, bytes.data, bytes.size));
}

void Sha256Stream::finish(uint8_t* digest) { requireHashed(SHA256_Final(digest, &state_)); }

#if defined(__x86_64__)

/** The lanes and whose message is in each. */
class Sha256Side {
 public:
  Sha256Side(Sha256Piece* pieces, size_t count) : next_(pieces), end_(pieces + count) {}

  /** Whole blocks of all pieces, longest first, as long as enough lanes are busy. Pieces keep what is left to do. */
  void run() {
    for (;;) {
      for (Sha256Piece*& lane : lanes_)
        if (lane == nullptr) lane = take(&lane - lanes_);
      if (busy_ < kFewest) break;
      advance();
    }
    for (Sha256Piece*& lane : lanes_)
      if (lane != nullptr) release(lane);
  }

  /** Up to the end of the block that is begun: lanes take whole blocks. */
  static void fillBlock(Sha256Piece& piece) {
    const size_t begun = piece.message->state_.num;
    const size_t missing = begun == 0 ? 0 : std::min(kSha256Block - begun, piece.bytes.size);
    piece.message->update(piece.bytes.slice(0, missing));
    piece.bytes = piece.bytes.from(missing);
  }

  /** With fewer messages one after the other is faster: a step of the lanes takes as long as nine blocks do by themselves. */
  static constexpr size_t kFewest = 9;

 private:
  Sha256Piece* take(size_t lane) {
    if (next_ == end_ || next_->bytes.size < kSha256Block) return nullptr;
    for (size_t i = 0; i < 8; i++) states_.words[i][lane] = next_->message->state_.h[i];
    busy_++;
    return next_++;
  }

  void advance() {
    size_t blocks = SIZE_MAX;
    const uint8_t* any = nullptr;
    for (const Sha256Piece* lane : lanes_) {
      if (lane == nullptr) continue;
      blocks = std::min(blocks, lane->bytes.size / kSha256Block);
      any = lane->bytes.data;
    }
    const uint8_t* messages[kSha256Lanes];
    for (size_t i = 0; i < kSha256Lanes; i++) messages[i] = lanes_[i] == nullptr ? any : lanes_[i]->bytes.data;
    sha256LanesAdvance(states_, messages, blocks);
    for (Sha256Piece*& lane : lanes_) {
      if (lane == nullptr) continue;
      SHA256state_st& state = lane->message->state_;
      const uint64_t bits = (uint64_t{state.Nh} << 32 | state.Nl) + uint64_t{blocks} * kSha256Block * 8;
      state.Nl = static_cast<unsigned>(bits);
      state.Nh = static_cast<unsigned>(bits >> 32);
      lane->bytes = lane->bytes.from(blocks * kSha256Block);
      if (lane->bytes.size < kSha256Block) release(lane);
    }
  }

  void release(Sha256Piece*& lane) {
    for (size_t i = 0; i < 8; i++) lane->message->state_.h[i] = states_.words[i][&lane - lanes_];
    lane = nullptr;
    busy_--;
  }

  Sha256LaneStates states_;
  Sha256Piece* lanes_[kSha256Lanes] = {};
  Sha256Piece* next_;
  Sha256Piece* const end_;
  size_t busy_ = 0;
};

#endif

void updateSideBySide(ShaEngine engine, Sha256Piece* pieces, size_t count) {
#if defined(__x86_64__)
  if (engine == ShaEngine::Avx512 && count >= Sha256Side::kFewest) {
    for (size_t i = 0; i < count; i++) Sha256Side::fillBlock(pieces[i]);
    // short ones fill up while the longest are under way
    std::sort(pieces, pieces + count, [](const Sha256Piece& a, const Sha256Piece& b) { return a.bytes.size > b.bytes.size; });
    Sha256Side(pieces, count).run();
  }
#endif
  for (size_t i = 0; i < count; i++) pieces[i].message->update(pieces[i].bytes);
}

}  // namespace cfs
