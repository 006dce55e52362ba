// What the parts of the addon define on its exports, and what belongs to one environment (main thread or worker thread).
#pragma once

#include <memory>
#include <optional>

#include "worker-pool.h"

namespace cfs {

constexpr uint32_t kMostThreads = 1024;

struct InstanceData {
  napi_ref streamClass = nullptr;
  /** Threads of the pool; without, one for each CPU. */
  std::optional<size_t> poolThreads;
  /** For everything but ingest; made when first needed. */
  std::unique_ptr<WorkerPool> pool;
};
InstanceData& instanceData(napi_env env);
/** Its workers are IngestWorkers. */
WorkerPool& commonPool(napi_env env);

void defineInflate(napi_env env, napi_value exports);
void defineIngest(napi_env env, napi_value exports);
void defineOstreeExport(napi_env env, napi_value exports);
void defineHashFiles(napi_env env, napi_value exports);
void defineVerityCalls(napi_env env, napi_value exports);
void defineFileCalls(napi_env env, napi_value exports);
void defineMountCalls(napi_env env, napi_value exports);
void defineMemoryCalls(napi_env env, napi_value exports);
void defineObjectSweep(napi_env env, napi_value exports);
void defineObjectSizes(napi_env env, napi_value exports);
void defineObjectNames(napi_env env, napi_value exports);
void defineBaseWalk(napi_env env, napi_value exports);
void defineCommitMapWriter(napi_env env, napi_value exports);
void defineCheckObjects(napi_env env, napi_value exports);

}  // namespace cfs
