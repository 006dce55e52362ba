// Small objects: whole in memory, fs-verity blocks of several objects side by side.
#include <algorithm>

#include "ingest-object.h"

namespace cfs {

uint8_t* IngestWorker::window() {
  if (window_ == nullptr) window_ = std::make_unique<uint8_t[]>(kWindowBytes);
  return window_.get();
}

uint8_t* IngestWorker::arena() {
  if (arena_ == nullptr) arena_ = std::make_unique<uint8_t[]>(kArenaBytes);
  return arena_.get();
}

Verdict readArchiveHeader(Span object, FileHeader& header, size_t& headerBytes, IngestRow& row) {
  Verdict verdict = parsePrefix(object, headerBytes);
  if (verdict.refused()) return verdict;
  verdict = parseArchiveVariant(object.slice(kHeaderPrefix, headerBytes), header);
  row.size = header.size;
  row.header = object.slice(0, headerBytes);
  return verdict;
}

void finishSymlink(IngestWorker& worker, const FileHeader& header, IngestRow& row) {
  serializeContentHeader(header, worker.contentHeader);
  worker.sha256.hash({worker.contentHeader.data(), worker.contentHeader.size()}, row.found);
  row.end(row.hasRightChecksum() ? Status::Inline : Status::ChecksumDiffers);
}

uint8_t* SmallGroup::reserve(size_t size) {
  if (used_ + size + 1 > kArenaBytes) flush();
  return worker_.arena() + used_;
}

void SmallGroup::add(IngestRow& row, const FileHeader& header, size_t size, Placement placement, std::unique_ptr<SourceFile> source) {
  row.size = size;
  serializeContentHeader(header, worker_.contentHeader);
  Sha256Stream checksum;
  checksum.update({worker_.contentHeader.data(), worker_.contentHeader.size()});
  entries_.push_back({&row, {worker_.arena() + used_, size}, checksum, std::move(placement), std::move(source)});
  used_ += size;
}

void SmallGroup::flush() {
  try {
    compareChecksums();
    measure();
    for (Entry& entry : entries_) guardRow(*entry.row, [&] { nameEntry(entry); });
  } catch (const std::exception&) {  // as in guardRow
    for (Entry& entry : entries_) entry.row->end(Verdict::system(Step::Memory, ENOMEM));
  }
  entries_.clear();
  used_ = 0;
}

/** Afterwards only what is right is left. */
void SmallGroup::compareChecksums() {
  pieces_.clear();
  for (Entry& entry : entries_) pieces_.push_back({&entry.checksum, entry.content});
  updateSideBySide(bestShaEngine(), pieces_.data(), pieces_.size());
  for (Entry& entry : entries_) entry.checksum.finish(entry.row->found);
  entries_.erase(std::remove_if(entries_.begin(), entries_.end(), [](const Entry& entry) { return !isRight(entry); }), entries_.end());
}

bool SmallGroup::isRight(const Entry& entry) {
  IngestRow& row = *entry.row;
  const bool accepted = row.hasRightChecksum();
  // what was copied is what was hashed; but an adopted file has nothing to compare with, and a mismatch wants a reason
  const bool mustBeSame = entry.source != nullptr && (!accepted || !row.checksumKnown);
  const Verdict same = mustBeSame ? entry.source->unchanged() : Verdict{};
  if (same.refused())
    row.end(same);
  else if (!accepted)
    row.end(Status::ChecksumDiffers);
  return accepted && !same.refused();
}

void SmallGroup::measure() {
  items_.clear();
  for (const Entry& entry : entries_)
    if (entry.content.size > settings_.inlineMax()) items_.push_back({entry.content, entry.row->id});
  if (!items_.empty()) worker_.verity(settings_.algorithm()).digests(items_.data(), items_.size());
  if (!settings_.alsoSha256) return;
  items_.clear();
  for (const Entry& entry : entries_)
    if (!settings_.idIsSha256(entry.content.size)) items_.push_back({entry.content, entry.row->sha256Id});
  if (!items_.empty()) worker_.verity(Algorithm::Sha256).digests(items_.data(), items_.size());
}

void SmallGroup::nameEntry(Entry& entry) {
  IngestRow& row = *entry.row;
  const Span& content = entry.content;
  if (content.size <= settings_.inlineMax()) {
    row.inlineBytes = content.size;
    std::memcpy(row.inlineContent, content.data, content.size);
    return row.end(Status::Inline);
  }
  if (settings_.closing()) return row.end(Status::Closed);
  ObjectDirectory& directory = settings_.directory;
  MessageHasher& hasher = worker_.hasher(settings_.algorithm());
  How how = entry.placement.how;
  if (how == How::Reflinked) {
    row.end(directory.publish(entry.placement.temporary, row.id, content.size, &content, hasher));
  } else if (how == How::HardLinked) {
    // touched meanwhile, or not possible: what was hashed is still in memory
    if (entry.source->unchanged().refused()) how = How::Written;
    if (how == How::HardLinked) row.end(directory.publishHardLink(entry.source->fd.get(), row.id, content.size, &content, hasher));
    if (row.verdict.isFailedLink()) how = How::Written;
  }
  if (how == How::Written) row.end(directory.store(row.id, content, hasher));
  if (row.verdict.status == Status::New) row.how = how;
}

void ingestArchiveObject(IngestWorker& worker, IngestSettings& settings, SmallGroup& group, Span object, IngestRow& row) {
  FileHeader header;
  size_t headerBytes = 0;
  const Verdict verdict = readArchiveHeader(object, header, headerBytes, row);
  if (verdict.refused()) return row.end(verdict);
  const Span body = object.from(headerBytes);
  if (header.isSymlink()) {
    if (body.size != 0) return row.end(Status::TrailingBytes);
    return finishSymlink(worker, header, row);
  }
  if (header.size / kMaxInflateRatio > body.size) return row.end(Status::Truncated);  // cannot be in there
  if (header.size > kSmallContentMax) {
    ArchiveStream stream(settings, row);
    stream.feed(worker, object);
    return stream.finish(worker);
  }
  const auto size = static_cast<size_t>(header.size);
  switch (worker.inflater.inflate(body, group.reserve(size), size)) {
    case WholeResult::Exact: break;
    case WholeResult::Damaged: return row.end(Status::Deflate);
    case WholeResult::Truncated: return row.end(Status::Truncated);
    case WholeResult::SizeDiffers: return row.end(Status::SizeDiffers);
    case WholeResult::TrailingBytes: return row.end(Status::TrailingBytes);
  }
  group.add(row, header, size);
}

}  // namespace cfs
