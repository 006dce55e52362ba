// Small objects: whole in memory, fs-verity blocks of several objects side by side.
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

bool SmallGroup::verify(IngestRow& row, const FileHeader& header, size_t size) {
  serializeContentHeader(header, worker_.contentHeader);
  worker_.sha256.start();
  worker_.sha256.update({worker_.contentHeader.data(), worker_.contentHeader.size()});
  worker_.sha256.update({worker_.arena() + used_, size});
  worker_.sha256.finish(row.found);
  if (row.hasRightChecksum()) return true;
  row.end(Status::ChecksumDiffers);
  return false;
}

void SmallGroup::add(IngestRow& row, size_t size, Placement placement, std::unique_ptr<SourceFile> source) {
  const uint8_t* content = worker_.arena() + used_;
  row.size = size;
  if (size <= settings_.inlineMax()) {
    row.inlineBytes = size;
    std::memcpy(row.inlineContent, content, size);
    if (!settings_.alsoSha256) return row.end(Status::Inline);
  }
  entries_.push_back({&row, {content, size}, std::move(placement), std::move(source)});
  used_ += size;
}

void SmallGroup::flush() {
  if (entries_.empty()) return;
  items_.clear();
  for (const Entry& entry : entries_)
    if (entry.content.size > settings_.inlineMax()) items_.push_back({entry.content, entry.row->id});
  if (!items_.empty()) worker_.verity(settings_.algorithm()).digests(items_.data(), items_.size());
  if (settings_.alsoSha256) {
    items_.clear();
    for (const Entry& entry : entries_)
      if (!settings_.idIsSha256(entry.content.size)) items_.push_back({entry.content, entry.row->sha256Id});
    worker_.verity(Algorithm::Sha256).digests(items_.data(), items_.size());
  }
  for (Entry& entry : entries_) guardRow(*entry.row, [&] { nameEntry(entry); });
  entries_.clear();
  used_ = 0;
}

void SmallGroup::nameEntry(Entry& entry) {
  IngestRow& row = *entry.row;
  const Span& content = entry.content;
  if (content.size <= settings_.inlineMax()) return row.end(Status::Inline);
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
  if (group.verify(row, header, size)) group.add(row, size);
}

}  // namespace cfs
