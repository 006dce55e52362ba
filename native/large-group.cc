#include "large-group.h"

#include <algorithm>

namespace cfs {

void LargeGroup::add(IngestRow& row, const FileHeader& header, uint64_t size, Placement placement, std::unique_ptr<SourceFile> source) {
  serializeContentHeader(header, worker_.contentHeader);
  files_.push_back({&row, size, worker_.contentHeader, std::move(placement), std::move(source)});
}

void LargeGroup::flush() {
  std::vector<File*> atWork;
  // one step of a file; whatever goes wrong there ends its row and nobody else's
  const auto step = [&](auto goesOn) {
    for (size_t i = 0; i < atWork.size(); i++) {
      bool more = false;
      guardRow(*atWork[i]->row, [&] { more = goesOn(*atWork[i], i); });
      if (more) continue;
      atWork[i]->sink.reset();
      atWork[i]->source.reset();
      atWork[i] = nullptr;
    }
    atWork.erase(std::remove(atWork.begin(), atWork.end(), nullptr), atWork.end());
  };
  size_t next = 0;
  for (;;) {
    while (atWork.size() < kAtOnce && next < files_.size()) atWork.push_back(&files_[next++]);
    if (atWork.empty()) break;
    step([&](File& file, size_t i) { return read(file, worker_.arena() + i * kReadBytes); });
    pieces_.clear();
    for (File* file : atWork) pieces_.push_back({&file->sink->checksum(), file->window});
    updateSideBySide(bestShaEngine(), pieces_.data(), pieces_.size());
    step([&](File& file, size_t) { return write(file); });
  }
  files_.clear();
}

Verdict LargeGroup::begin(File& file) {
  file.hardLinked = file.placement.how == How::HardLinked;
  file.from = file.placement.how == How::Reflinked ? file.placement.temporary.fd() : file.source->fd.get();
  file.sink = std::make_unique<ContentSink>(settings_, *file.row);
  return file.sink->begin({file.contentHeader.data(), file.contentHeader.size()}, file.size, std::move(file.placement));
}

bool LargeGroup::read(File& file, uint8_t* window) {
  Verdict verdict = settings_.closing() ? Verdict{Status::Closed, Step::None, 0} : Verdict{};
  if (!verdict.refused() && file.sink == nullptr) verdict = begin(file);
  size_t got = 0;
  if (!verdict.refused())
    if (const int error = readUpTo(file.from, window, kReadBytes, got)) verdict = Verdict::system(Step::ReadSource, error);
  file.window = {window, got};
  if (verdict.refused()) file.row->end(verdict);
  return !verdict.refused();
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
