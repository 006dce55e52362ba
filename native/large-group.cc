#include "large-group.h"

namespace cfs {

void LargeGroup::add(IngestRow& row, const FileHeader& header, uint64_t size, Placement placement, std::unique_ptr<SourceFile> source) {
  serializeContentHeader(header, worker_.contentHeader);
  files_.push_back({&row, size, worker_.contentHeader, std::move(placement), std::move(source)});
}

void LargeGroup::flush() {
  // whatever goes wrong with a file ends its row and nobody else's
  const auto guarded = [](File& file, auto goesOn) {
    bool more = false;
    guardRow(*file.row, [&] { more = goesOn(); });
    if (!more) {
      file.sink.reset();
      file.source.reset();
    }
    return more;
  };
  goThroughWindows(
      worker_, files_,
      [&](File& file, uint8_t* window, Sha256Pieces& pieces) { return guarded(file, [&] { return read(file, window, pieces); }); },
      [&](File& file) { return guarded(file, [&] { return write(file); }); });
  files_.clear();
}

Verdict LargeGroup::begin(File& file) {
  file.hardLinked = file.placement.how == How::HardLinked;
  file.from = file.placement.how == How::Reflinked ? file.placement.temporary.fd() : file.source->fd.get();
  file.sink = std::make_unique<ContentSink>(settings_, *file.row);
  return file.sink->begin({file.contentHeader.data(), file.contentHeader.size()}, file.size, std::move(file.placement));
}

bool LargeGroup::read(File& file, uint8_t* window, Sha256Pieces& pieces) {
  Verdict verdict = settings_.closing() ? Verdict{Status::Closed, Step::None, 0} : Verdict{};
  if (!verdict.refused() && file.sink == nullptr) verdict = begin(file);
  size_t got = 0;
  if (!verdict.refused())
    if (const int error = readUpTo(file.from, window, kReadBytes, got)) verdict = Verdict::system(Step::ReadSource, error);
  if (verdict.refused()) {
    file.row->end(verdict);
    return false;
  }
  file.window = {window, got};
  pieces.push_back({&file.sink->checksum(), file.window});
  return true;
}

bool LargeGroup::write(File& file) {
  const Verdict verdict = file.sink->writeUnsummed(worker_, file.window);
  if (!verdict.refused()) return file.window.size == kReadBytes || finish(file);
  if (verdict.status == Status::SizeDiffers)
    file.row->end(Status::LocalChanged);
  else
    file.row->end(verdict);
  return false;
}

bool LargeGroup::finish(File& file) {
  IngestRow& row = *file.row;
  if (file.sink->written() != file.size) {
    row.end(Status::LocalChanged);
    return false;
  }
  file.sink->finish(worker_, file.source.get());
  const bool wantsCopy = file.hardLinked && (row.verdict.isFailedLink() || row.verdict.status == Status::LocalChanged);
  if (!wantsCopy || ::lseek(file.source->fd.get(), 0, SEEK_SET) != 0) return false;
  file.placement = Placement();
  file.sink.reset();
  return true;
}

}  // namespace cfs
