// Sizes of very many objects: one fstatat each, on all cores, below directories that are opened once.
#include "addon.h"
#include "columns.h"
#include "fanouts.h"
#include "js.h"

namespace cfs {

namespace {

/** Of an object that is missing, or no regular file. */
constexpr double kNoSize = -1;

class SizesJob : public Job {
 public:
  SizesJob(int root, Span ids, size_t idBytes) : Job(ids.size / idBytes), ids_(ids), idBytes_(idBytes), sizes_(ids.size / idBytes, kNoSize) {
    if (const int error = fanouts_.openAll(root)) throw SystemProblem{error, "open"};
  }

  void run(Worker&, size_t begin, size_t end) override {
    for (size_t i = begin; i < end; i++) {
      const uint8_t* id = ids_.data + i * idBytes_;
      const int fanout = fanouts_.of(id);
      if (fanout < 0) continue;
      const ObjectName name(id, idBytes_);
      struct stat facts;
      if (::fstatat(fanout, name.text, &facts, AT_SYMLINK_NOFOLLOW) == 0) {
        if (S_ISREG(facts.st_mode)) sizes_[i] = static_cast<double>(facts.st_size);
      } else if (errno != ENOENT) {
        error_.store(errno, std::memory_order_relaxed);
      }
    }
  }

  void cancel(size_t, size_t) override { error_.store(ECANCELED, std::memory_order_relaxed); }

  napi_value settle(napi_env env) override {
    if (const int error = error_.load(std::memory_order_relaxed)) throw SystemProblem{error, "stat"};
    Columns columns(env, Columns::room(sizes_.size(), sizeof(double)));
    std::copy(sizes_.begin(), sizes_.end(), columns.add<double>("sizes", napi_float64_array, sizes_.size()));
    return property(env, columns.object(), "sizes");
  }

 private:
  const Span ids_;
  const size_t idBytes_;
  Fanouts fanouts_;
  std::vector<double> sizes_;
  std::atomic<int> error_{0};
};

napi_value objectSizes(Call& call) {
  const std::string path = call.path(0);
  const size_t idBytes = digestBytes(call.algorithm(1));
  const Span ids = call.bytes(2, "ids");
  if (ids.size % idBytes != 0) throw TypeProblem{"ids must be whole digests"};
  const Fd root(::open(path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!root.open()) throw SystemProblem{errno, "open"};
  auto job = std::make_shared<SizesJob>(root.get(), ids, idBytes);
  job->keep(call.env(), call.value(2));
  return commonPool(call.env()).submit(std::move(job));
}

}  // namespace

void defineObjectSizes(napi_env env, napi_value exports) {
  const FunctionEntry functions[] = {{"objectSizes", entry<objectSizes>}};
  defineFunctions(env, exports, functions, std::size(functions));
}

}  // namespace cfs
