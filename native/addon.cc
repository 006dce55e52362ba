#include "addon.h"

#include "ingest-object.h"
#include "js.h"

namespace cfs {

InstanceData& instanceData(napi_env env) {
  void* data = nullptr;
  check(env, napi_get_instance_data(env, &data));
  return *static_cast<InstanceData*>(data);
}

WorkerPool& commonPool(napi_env env) {
  InstanceData& data = instanceData(env);
  if (data.pool == nullptr) {
    const size_t threads = data.poolThreads.has_value() ? *data.poolThreads : usableCpus();
    data.pool = std::make_unique<WorkerPool>(env, threads, IngestWorker::make);
  }
  return *data.pool;
}

namespace {

napi_value useThreads(Call& call) {
  InstanceData& data = instanceData(call.env());
  if (data.pool != nullptr) throw ErrorToThrow{"ERR_CFS_NATIVE", "the threads are at work already"};
  const uint32_t count = call.number(0, "count");
  if (count == 0 || count > kMostThreads) throw TypeProblem{"count must be a number from 1 to 1024"};
  data.poolThreads = count;
  return makeUndefined(call.env());
}

void defineThreads(napi_env env, napi_value exports) {
  const FunctionEntry functions[] = {{"useThreads", entry<useThreads>}};
  defineFunctions(env, exports, functions, std::size(functions));
}

void defineEngines(napi_env env, napi_value exports) {
  const char* sha = bestShaEngine() == ShaEngine::Avx512 ? "avx512" : "evp";
  napi_value engines;
  check(env, napi_create_object(env, &engines));
  setProperty(env, engines, "sha512", makeText(env, sha));
  setProperty(env, engines, "sha256", makeText(env, sha));
  setProperty(env, engines, "inflate", makeText(env, inflateEngine()));
  setProperty(env, engines, "deflate", makeText(env, deflateEngine()));
  setProperty(env, exports, "engines", engines);
}

napi_value initialize(napi_env env, napi_value exports) {
  return guarded(env, [&] {
    if (zlibVersion()[0] != '1') throw ErrorToThrow{"ERR_CFS_NATIVE", std::string("zlib ") + zlibVersion() + " is not known here"};
    auto data = std::make_unique<InstanceData>();
    check(env, napi_set_instance_data(
                   env, data.get(), [](napi_env, void* instance, void*) { delete static_cast<InstanceData*>(instance); }, nullptr));
    data.release();
    defineEngines(env, exports);
    defineInflate(env, exports);
    defineThreads(env, exports);
    defineIngest(env, exports);
    defineHashFiles(env, exports);
    defineOstreeExport(env, exports);
    defineVerityCalls(env, exports);
    defineFileCalls(env, exports);
    defineMountCalls(env, exports);
    defineMemoryCalls(env, exports);
    defineObjectSweep(env, exports);
    defineObjectSizes(env, exports);
    defineObjectNames(env, exports);
    defineBaseWalk(env, exports);
    defineCommitMapWriter(env, exports);
    defineCheckObjects(env, exports);
    return exports;
  });
}

}  // namespace

}  // namespace cfs

NAPI_MODULE_INIT() { return cfs::initialize(env, exports); }
