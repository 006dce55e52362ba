// SHA-256 of messages of any length that arrive in pieces: alone, or side by side in the lanes of the CPU.
#pragma once

#include "sha.h"

namespace cfs {

/** One message. Unlike Sha its state is open, so that lanes can take it on. */
class Sha256Stream {
 public:
  Sha256Stream();
  void update(Span bytes);
  void finish(uint8_t* digest);

 private:
  friend class Sha256Side;
  SHA256state_st state_;
};

/** What a message goes on with. */
struct Sha256Piece {
  Sha256Stream* message;
  Span bytes;
};

/**
 * Each message at most once.
 * @param pieces their order, and what they say, is lost
 */
void updateSideBySide(ShaEngine engine, Sha256Piece* pieces, size_t count);

}  // namespace cfs
