#include "ingest-job.h"

#include "columns.h"
#include "largest-first.h"

namespace cfs {

IngestJob::IngestJob(std::shared_ptr<IngestSettings> settings, size_t rows, Span checksums)
    : Job(rows), settings_(std::move(settings)), rows_(rows) {
  for (size_t i = 0; i < rows; i++) {
    rows_[i].checksumKnown = checksums.data != nullptr;
    if (rows_[i].checksumKnown) std::memcpy(rows_[i].expected, checksums.data + i * kSha256Bytes, kSha256Bytes);
  }
}

void IngestJob::cancel(size_t begin, size_t end) {
  for (size_t i = begin; i < end; i++) rows_[i].end(Status::Closed);
}

napi_value IngestJob::settle(napi_env env) {
  return makeBatch(env, *settings_, rows_.data(), rows_.size());
}

void ArchiveJob::run(Worker& worker, size_t begin, size_t end) {
  auto& mine = static_cast<IngestWorker&>(worker);
  SmallGroup group(mine, *settings_);
  for (size_t i = begin; i < end && !settings_->closing(); i++)
    guardRow(rows_[i], [&] { ingestArchiveObject(mine, *settings_, group, bodies_[i], rows_[i]); });
  group.flush();
}

void LocalJob::sortBySize() {
  std::vector<off_t> sizes(paths_.size());
  struct stat facts;
  if (plan.mode != LocalMode::Archive)  // there it is compressed sizes that could be had
    for (size_t i = 0; i < sizes.size(); i++)
      if (::lstat(paths_[i].c_str(), &facts) == 0) sizes[i] = facts.st_size;
  order_ = largestFirst(sizes);
}

void LocalJob::run(Worker& worker, size_t begin, size_t end) {
  const std::string none;
  auto& mine = static_cast<IngestWorker&>(worker);
  LocalGroups groups(mine, *settings_);
  std::call_once(sorted_, [this] { sortBySize(); });
  for (size_t k = begin; k < end && !settings_->closing(); k++) {
    const size_t i = order_[k];
    guardRow(rows_[i], [&] {
      ingestLocalObject(mine, *settings_, groups, plan, paths_[i], xattrsPaths_.empty() ? none : xattrsPaths_[i], rows_[i]);
    });
  }
  groups.flush();
}

napi_value LocalJob::settle(napi_env env) {
  napi_value batch = IngestJob::settle(env);
  setProperty(env, batch, "sourceBytes", makeNumber(env, static_cast<double>(plan.sourceBytes.load())));
  return batch;
}

void AdoptJob::run(Worker& worker, size_t begin, size_t end) {
  auto& mine = static_cast<IngestWorker&>(worker);
  LocalGroups groups(mine, *settings_);
  for (size_t i = begin; i < end && !settings_->closing(); i++)
    guardRow(rows_[i], [&] { adoptFile(*settings_, groups, plan, paths_[i], headers_[i], rows_[i]); });
  groups.flush();
}

napi_value makeBatch(napi_env env, const IngestSettings& settings, const IngestRow* rows, size_t count) {
  const size_t idBytes = digestBytes(settings.algorithm());
  size_t dataBytes = 0;
  for (size_t i = 0; i < count; i++)
    if (!rows[i].verdict.refused()) dataBytes += rows[i].header.size + rows[i].inlineBytes;

  const size_t perRow = 3 * sizeof(uint8_t) + sizeof(int32_t) + sizeof(double) + sizeof(uint32_t) + idBytes + 2 * kSha256Bytes;
  Columns columns(env, (count + 1) * perRow + dataBytes + 10 * 8);
  auto* status = columns.add<uint8_t>("status", napi_uint8_array, count);
  auto* errors = columns.add<int32_t>("errno", napi_int32_array, count);
  auto* steps = columns.add<uint8_t>("steps", napi_uint8_array, count);
  auto* how = columns.add<uint8_t>("how", napi_uint8_array, count);
  auto* ids = columns.add<uint8_t>("ids", napi_uint8_array, count * idBytes);
  auto* sizes = columns.add<double>("sizes", napi_float64_array, count);
  auto* sha256Ids = settings.alsoSha256 ? columns.add<uint8_t>("sha256Ids", napi_uint8_array, count * kSha256Bytes) : nullptr;
  auto* checksums = columns.add<uint8_t>("checksums", napi_uint8_array, count * kSha256Bytes);
  auto* offsets = columns.add<uint32_t>("dataOffsets", napi_uint32_array, count + 1);
  auto* data = columns.add<uint8_t>("data", napi_uint8_array, dataBytes);

  size_t at = 0;
  for (size_t i = 0; i < count; i++) {
    const IngestRow& row = rows[i];
    const Verdict& verdict = row.verdict;
    status[i] = static_cast<uint8_t>(verdict.status);
    sizes[i] = static_cast<double>(row.size);
    offsets[i] = static_cast<uint32_t>(at);
    std::memcpy(checksums + i * kSha256Bytes, row.found, kSha256Bytes);
    if (verdict.refused()) {
      errors[i] = verdict.error;
      steps[i] = static_cast<uint8_t>(verdict.step);
      continue;
    }
    how[i] = static_cast<uint8_t>(row.how);
    if (verdict.status != Status::Inline) std::memcpy(ids + i * idBytes, row.id, idBytes);
    if (sha256Ids != nullptr)
      std::memcpy(sha256Ids + i * kSha256Bytes, settings.idIsSha256(row.size) ? row.id : row.sha256Id, kSha256Bytes);
    std::memcpy(data + at, row.header.data, row.header.size);
    at += row.header.size;
    std::memcpy(data + at, row.inlineContent, row.inlineBytes);
    at += row.inlineBytes;
  }
  offsets[count] = static_cast<uint32_t>(at);
  return columns.object();
}

}  // namespace cfs
