#include "ingest-local.h"

#include "local-attributes.h"

namespace cfs {

namespace {

/** Whole `.filez` up to this are read at once. */
constexpr size_t kWholeInputMax = 512 * 1024;

Verdict openSource(const std::string& path, SourceFile& source) {
  source.fd.reset(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!source.fd.open() || ::fstat(source.fd.get(), &source.before) != 0) return Verdict::system(Step::OpenSource, errno);
  return S_ISREG(source.before.st_mode) ? Verdict{} : Verdict{Status::LocalForm, Step::None, 0};
}

/** Fills `size` bytes and finds the end of the file behind them. `bytes` has room for one more. */
Verdict readExactly(int fd, uint8_t* bytes, size_t size) {
  size_t got = 0;
  if (const int error = readWhole(fd, bytes, size, got)) return Verdict::system(Step::ReadSource, error);
  return got == size ? Verdict{} : Verdict{Status::LocalChanged, Step::None, 0};
}

void ingestArchiveFile(IngestWorker& worker, IngestSettings& settings, SmallGroup& group, const SourceFile& source, IngestRow& row) {
  const auto size = static_cast<uint64_t>(source.before.st_size);
  if (size <= kWholeInputMax) {
    worker.input.resize(kWholeInputMax + 1);
    const Verdict read = readExactly(source.fd.get(), worker.input.data(), static_cast<size_t>(size));
    if (read.refused()) return row.end(read);
    ingestArchiveObject(worker, settings, group, {worker.input.data(), static_cast<size_t>(size)}, row);
    if (row.ownedHeader.empty()) row.ownHeader();
    return;
  }
  ArchiveStream stream(settings, row);
  worker.input.resize(kWholeInputMax + 1);
  for (;;) {
    size_t got = 0;
    if (const int error = readUpTo(source.fd.get(), worker.input.data(), kWindowBytes, got))
      return row.end(Verdict::system(Step::ReadSource, error));
    if (!stream.feed(worker, {worker.input.data(), got}) || got < kWindowBytes) break;
  }
  stream.finish(worker);
}

bool mayHardLink(const IngestSettings& settings, const LocalPlan& plan, const struct stat& facts) {
  constexpr mode_t kWritableByOthers = 022, kSetId = 06000;
  const bool wanted = plan.link == LinkMode::HardSealed || (plan.link == LinkMode::Hard && !settings.directory.secure());
  return wanted && plan.mode == LocalMode::Bare && facts.st_uid == settings.user &&
         (facts.st_mode & (kWritableByOthers | kSetId)) == 0 && facts.st_dev == settings.directory.device();
}

/** Reflink, hard link or copy, in this order, as far as allowed and possible. */
Verdict choosePlacement(IngestSettings& settings, LocalPlan& plan, const SourceFile& source, Placement& placement) {
  const auto size = static_cast<uint64_t>(source.before.st_size);
  if (plan.link == LinkMode::None || size <= settings.inlineMax()) return {};
  const uint64_t device = source.before.st_dev;
  if (plan.noCloneDevice.load(std::memory_order_relaxed) != device) {
    const Verdict created = settings.directory.createTemporary(placement.temporary);
    if (created.refused()) return created;
    const int error = cloneFile(source.fd.get(), placement.temporary.fd());
    struct stat cloned;
    if (error == 0 && ::fstat(placement.temporary.fd(), &cloned) == 0 && static_cast<uint64_t>(cloned.st_size) == size) {
      placement.how = How::Reflinked;
      return {};
    }
    if (meansNoClone(error)) plan.noCloneDevice.store(device, std::memory_order_relaxed);
    placement.temporary.discard();
  }
  if (mayHardLink(settings, plan, source.before)) {
    placement.how = How::HardLinked;
    placement.source = &source;
  }
  return {};
}

void ingestSmallContent(SmallGroup& group, const FileHeader& header, std::unique_ptr<SourceFile> source, Placement placement,
                        IngestRow& row) {
  const auto size = static_cast<size_t>(header.size);
  const int from = placement.how == How::Reflinked ? placement.temporary.fd() : source->fd.get();
  const Verdict read = readExactly(from, group.reserve(size), size);
  if (read.refused()) return row.end(read);
  group.add(row, header, size, std::move(placement), std::move(source));
}

void ingestContent(IngestSettings& settings, LocalGroups& groups, LocalPlan& plan, std::unique_ptr<SourceFile> source, FileHeader& header,
                   IngestRow& row) {
  header.size = static_cast<uint64_t>(source->before.st_size);
  row.size = header.size;
  Verdict verdict = serializeArchiveHeader(header, row.ownedHeader);
  if (verdict.refused()) return row.end(verdict);
  row.header = {row.ownedHeader.data(), row.ownedHeader.size()};
  Placement placement;
  verdict = choosePlacement(settings, plan, *source, placement);
  if (verdict.refused()) return row.end(verdict);
  if (header.size <= kSmallContentMax)
    return ingestSmallContent(groups.small, header, std::move(source), std::move(placement), row);
  groups.large.add(row, header, header.size, std::move(placement), std::move(source));
}

void ingestLocalSymlink(IngestWorker& worker, LocalHeader& local, IngestRow& row) {
  const Verdict verdict = serializeArchiveHeader(local.header, row.ownedHeader);
  if (verdict.refused()) return row.end(verdict);
  row.header = {row.ownedHeader.data(), row.ownedHeader.size()};
  finishSymlink(worker, local.header, row);
}

}  // namespace

std::string looseObjectPath(const std::string& objects, const uint8_t* checksum, const char* suffix) {
  return objects + '/' + ObjectPath(Algorithm::Sha256, checksum).text + suffix;
}

Verdict SourceFile::unchanged() const {
  struct stat now;
  if (::fstat(fd.get(), &now) != 0) return Verdict::system(Step::ReadSource, errno);
  const auto sameTime = [](const timespec& a, const timespec& b) { return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec; };
  const bool same = now.st_size == before.st_size && sameTime(now.st_mtim, before.st_mtim) && sameTime(now.st_ctim, before.st_ctim);
  return same ? Verdict{} : Verdict{Status::LocalChanged, Step::None, 0};
}

void ingestLocalObject(IngestWorker& worker, IngestSettings& settings, LocalGroups& groups, LocalPlan& plan, const std::string& path,
                       const std::string& xattrsPath, IngestRow& row) {
  auto source = std::make_unique<SourceFile>();
  LocalHeader local;
  const Verdict opened = openSource(path, *source);
  const bool isLink = opened.step == Step::OpenSource && opened.error == ELOOP;
  if (isLink && plan.mode != LocalMode::Archive && plan.mode != LocalMode::BareUser) {
    const Verdict read = readSymlinkHeader(plan, path, xattrsPath, local);
    if (read.refused()) return row.end(read);
    plan.sourceBytes.fetch_add(local.target.size(), std::memory_order_relaxed);
    return ingestLocalSymlink(worker, local, row);
  }
  if (isLink) return row.end(Status::LocalForm);
  if (opened.refused()) return row.end(opened);
  plan.sourceBytes.fetch_add(static_cast<uint64_t>(source->before.st_size), std::memory_order_relaxed);
  if (plan.mode == LocalMode::Archive) return ingestArchiveFile(worker, settings, groups.small, *source, row);

  const Verdict read = readFileHeader(plan, *source, xattrsPath, local);
  if (read.refused()) return row.end(read);
  if (local.header.isSymlink()) return ingestLocalSymlink(worker, local, row);
  ingestContent(settings, groups, plan, std::move(source), local.header, row);
}

void adoptFile(IngestSettings& settings, LocalGroups& groups, LocalPlan& plan, const std::string& path,
               Span contentHeader, IngestRow& row) {
  size_t headerBytes = 0;
  FileHeader header;
  Verdict verdict = parsePrefix(contentHeader, headerBytes);
  if (!verdict.refused() && headerBytes != contentHeader.size) verdict = {Status::HeaderLength, Step::None, 0};
  if (!verdict.refused()) verdict = parseContentVariant(contentHeader.from(kHeaderPrefix), header);
  if (!verdict.refused() && header.isSymlink()) verdict = {Status::FileType, Step::None, 0};
  if (verdict.refused()) return row.end(verdict);
  auto source = std::make_unique<SourceFile>();
  verdict = openSource(path, *source);
  if (verdict.refused()) return row.end(verdict);
  ingestContent(settings, groups, plan, std::move(source), header, row);
}

}  // namespace cfs
