// Batches of objects as pool jobs, and their results as columns.
#pragma once

#include <mutex>

#include "ingest-local.h"
#include "js.h"
#include "worker-pool.h"

namespace cfs {

/** Keeps `data` of a batch below 2^32: each object adds at most kMaxHeaderBytes and a little. */
constexpr size_t kMostRowsPerBatch = 4000;

class IngestJob : public Job {
 public:
  IngestJob(std::shared_ptr<IngestSettings> settings, size_t rows, Span checksums);
  void cancel(size_t begin, size_t end) override;
  napi_value settle(napi_env env) override;

 protected:
  std::shared_ptr<IngestSettings> settings_;
  std::vector<IngestRow> rows_;
};

class ArchiveJob : public IngestJob {
 public:
  ArchiveJob(std::shared_ptr<IngestSettings> settings, std::vector<Span> bodies, Span checksums)
      : IngestJob(std::move(settings), bodies.size(), checksums), bodies_(std::move(bodies)) {}
  void run(Worker& worker, size_t begin, size_t end) override;

 private:
  std::vector<Span> bodies_;
};

class LocalJob : public IngestJob {
 public:
  LocalJob(std::shared_ptr<IngestSettings> settings, std::vector<std::string> paths, std::vector<std::string> xattrsPaths, Span checksums)
      : IngestJob(std::move(settings), paths.size(), checksums), paths_(std::move(paths)), xattrsPaths_(std::move(xattrsPaths)) {}
  void run(Worker& worker, size_t begin, size_t end) override;
  /** With `sourceBytes`. */
  napi_value settle(napi_env env) override;
  LocalPlan plan;

 private:
  void sortBySize();

  std::vector<std::string> paths_, xattrsPaths_;
  std::once_flag sorted_;
  /** The order that shares are taken in. */
  std::vector<size_t> order_;
};

class AdoptJob : public IngestJob {
 public:
  AdoptJob(std::shared_ptr<IngestSettings> settings, std::vector<std::string> paths, std::vector<Span> headers)
      : IngestJob(std::move(settings), paths.size(), Span()), paths_(std::move(paths)), headers_(std::move(headers)) {}
  void run(Worker& worker, size_t begin, size_t end) override;
  LocalPlan plan;

 private:
  std::vector<std::string> paths_;
  std::vector<Span> headers_;
};

/** IngestBatch of native/index.d.ts. */
napi_value makeBatch(napi_env env, const IngestSettings& settings, const IngestRow* rows, size_t count);

}  // namespace cfs
