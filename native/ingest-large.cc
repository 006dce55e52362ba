// Large objects: a window at a time, memory independent of their size.
#include "ingest-object.h"

#include <algorithm>

namespace cfs {

Verdict ContentSink::begin(Span contentHeader, uint64_t size, Placement placement) {
  size_ = size;
  placement_ = std::move(placement);
  sha256_.update(contentHeader);
  if (settings_.alsoSha256 && !settings_.idIsSha256(size)) alsoVerity_ = std::make_unique<VerityStream>(Algorithm::Sha256);
  if (!external()) return {};
  verity_ = std::make_unique<VerityStream>(settings_.algorithm());
  if (placement_.how == How::Written) return settings_.directory.createTemporary(placement_.temporary);
  return {};
}

Verdict ContentSink::write(IngestWorker& worker, Span bytes) {
  sha256_.update(bytes);
  return writeUnsummed(worker, bytes);
}

Verdict ContentSink::writeUnsummed(IngestWorker& worker, Span bytes) {
  if (bytes.size > size_ - written_) return {Status::SizeDiffers, Step::None, 0};
  if (alsoVerity_ != nullptr) alsoVerity_->update(worker.sha256Blocks, bytes);
  if (external()) {
    verity_->update(worker.hasher(settings_.algorithm()), bytes);
    if (placement_.how == How::Written)
      if (const int error = writeAll(placement_.temporary.fd(), bytes)) return Verdict::system(Step::Write, error);
  } else if (bytes.size != 0) {
    std::memcpy(row_.inlineContent + written_, bytes.data, bytes.size);
    row_.inlineBytes = static_cast<size_t>(written_) + bytes.size;
  }
  written_ += bytes.size;
  return {};
}

void ContentSink::finish(IngestWorker& worker, const SourceFile* source) {
  sha256_.finish(row_.found);
  const bool accepted = row_.hasRightChecksum();
  // what was copied is what was hashed; a hard link still hangs on the source, and an adopted file has nothing to compare with
  const bool mustBeSame = !accepted || !row_.checksumKnown || placement_.how == How::HardLinked;
  const Verdict same = source != nullptr && mustBeSame ? source->unchanged() : Verdict{};
  if (same.refused()) return row_.end(same);
  if (!accepted) return row_.end(Status::ChecksumDiffers);
  name(worker);
}

void ContentSink::name(IngestWorker& worker) {
  row_.size = size_;
  if (alsoVerity_ != nullptr) alsoVerity_->finish(worker.sha256Blocks, row_.sha256Id);
  if (!external()) return row_.end(Status::Inline);
  MessageHasher& hasher = worker.hasher(settings_.algorithm());
  verity_->finish(hasher, row_.id);
  ObjectDirectory& directory = settings_.directory;
  row_.end(placement_.how == How::HardLinked
               ? directory.publishHardLink(placement_.source->fd.get(), row_.id, size_, nullptr, hasher)
               : directory.publish(placement_.temporary, row_.id, size_, nullptr, hasher));
  if (row_.verdict.status == Status::New) row_.how = placement_.how;
}

bool ArchiveStream::refuse(const Verdict& verdict) {
  row_.end(verdict);
  state_ = State::Refused;
  return false;
}

/** Collects prefix and variant in row.ownedHeader. @return false: refused, or more is needed (state says which) */
bool ArchiveStream::readHeader(IngestWorker& worker, Span& bytes) {
  OwnedBytes& collected = row_.ownedHeader;
  size_t wanted = kHeaderPrefix;
  const auto collect = [&] {
    const size_t take = std::min(wanted - collected.size(), bytes.size);
    collected.insert(collected.end(), bytes.data, bytes.data + take);
    bytes = bytes.from(take);
    return collected.size() == wanted;
  };
  if (collected.size() < kHeaderPrefix && !collect()) return false;
  const Verdict prefix = parsePrefixBytes(collected.data(), wanted);
  if (prefix.refused()) return refuse(prefix);
  if (!collect()) return false;

  size_t headerBytes = 0;
  const Verdict verdict = readArchiveHeader({collected.data(), collected.size()}, header_, headerBytes, row_);
  if (verdict.refused()) return refuse(verdict);
  state_ = State::Body;
  if (header_.isSymlink()) {
    state_ = State::End;
    return true;
  }
  serializeContentHeader(header_, worker.contentHeader);
  const Verdict begun = sink_.begin({worker.contentHeader.data(), worker.contentHeader.size()}, header_.size);
  if (begun.refused()) return refuse(begun);
  inflater_.start();
  return true;
}

/** Until all of `bytes` is consumed. */
bool ArchiveStream::inflateSome(IngestWorker& worker, Span& bytes) {
  for (;;) {
    if (settings_.closing()) return refuse({Status::Closed, Step::None, 0});
    size_t produced = 0;
    const InflateResult result = inflater_.run(bytes, worker.window(), kWindowBytes, produced);
    if (result == InflateResult::Damaged) return refuse({Status::Deflate, Step::None, 0});
    const Verdict written = sink_.write(worker, {worker.window(), produced});
    if (written.refused()) return refuse(written);
    if (result == InflateResult::End) {
      state_ = State::End;
      return true;
    }
    if (bytes.size == 0 && produced < kWindowBytes) return true;
  }
}

bool ArchiveStream::feed(IngestWorker& worker, Span bytes) {
  if (state_ == State::Header && !readHeader(worker, bytes)) return state_ != State::Refused;
  if (state_ == State::Body && bytes.size != 0 && !inflateSome(worker, bytes)) return false;
  if (state_ == State::End && bytes.size != 0) return refuse({Status::TrailingBytes, Step::None, 0});
  return state_ != State::Refused;
}

void ArchiveStream::finish(IngestWorker& worker) {
  switch (state_) {
    case State::Refused: return;
    case State::Header: return row_.end(Status::HeaderLength);
    case State::Body: return row_.end(Status::Truncated);
    case State::End: break;
  }
  if (header_.isSymlink()) return finishSymlink(worker, header_, row_);
  if (sink_.written() != header_.size) return row_.end(Status::SizeDiffers);
  sink_.finish(worker);
}

}  // namespace cfs
