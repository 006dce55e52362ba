// Names of very many objects, on all cores.
#include "addon.h"
#include "columns.h"
#include "fanout-entries.h"
#include "js.h"

namespace cfs {

namespace {

/** What is in one directory. */
struct FanoutNames {
  int error = 0;
  /** Of regular files whose names make one. */
  std::vector<uint8_t> ids;
  std::vector<std::string> others;
};

class NamesJob : public Job {
 public:
  NamesJob(Fd root, Span firstBytes, size_t idBytes)
      : Job(firstBytes.size),
        root_(std::move(root)),
        idBytes_(idBytes),
        firstBytes_(firstBytes.data, firstBytes.data + firstBytes.size),
        names_(firstBytes.size) {}

  void run(Worker&, size_t begin, size_t end) override {
    for (size_t i = begin; i < end; i++) {
      try {
        list(firstBytes_[i], names_[i]);
      } catch (const std::exception&) {
        names_[i].error = ENOMEM;
      }
    }
  }

  void cancel(size_t begin, size_t end) override {
    for (size_t i = begin; i < end; i++) names_[i].error = ECANCELED;
  }

  napi_value settle(napi_env env) override {
    size_t bytes = 0;
    for (const FanoutNames& names : names_) {
      if (names.error != 0) throw SystemProblem{names.error, "scandir"};
      bytes += names.ids.size();
    }
    Columns columns(env, Columns::room(bytes, 1));
    auto* ids = columns.add<uint8_t>("ids", napi_uint8_array, bytes);
    napi_value others;
    check(env, napi_create_array(env, &others));
    uint32_t otherCount = 0;
    for (size_t i = 0; i < names_.size(); i++) {
      ids = std::copy(names_[i].ids.begin(), names_[i].ids.end(), ids);
      for (const std::string& name : names_[i].others)
        check(env, napi_set_element(env, others, otherCount++, makeText(env, pathInFanout(firstBytes_[i], name))));
    }
    setProperty(env, columns.object(), "others", others);
    return columns.object();
  }

 private:
  void list(uint8_t firstByte, FanoutNames& names) const {
    FanoutEntries entries;
    names.error = entries.open(root_.get(), firstByte);
    uint8_t id[kMaxDigestBytes] = {firstByte};
    while (const dirent* entry = entries.next()) {
      if (readObjectName(entry->d_name, idBytes_, id) && isRegular(entries.fd(), *entry))
        names.ids.insert(names.ids.end(), id, id + idBytes_);
      else
        names.others.emplace_back(entry->d_name);
    }
    if (names.error == 0) names.error = entries.error();
  }

  static bool isRegular(int directory, const dirent& entry) {
    if (entry.d_type != DT_UNKNOWN) return entry.d_type == DT_REG;
    struct stat facts;
    return ::fstatat(directory, entry.d_name, &facts, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(facts.st_mode);
  }

  const Fd root_;
  const size_t idBytes_;
  const std::vector<uint8_t> firstBytes_;
  std::vector<FanoutNames> names_;
};

napi_value objectNames(Call& call) {
  const std::string path = call.path(0);
  const size_t idBytes = digestBytes(call.algorithm(1));
  const Span firstBytes = call.bytes(2, "firstBytes");
  Fd root(::open(path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!root.open()) throw SystemProblem{errno, "open"};
  return commonPool(call.env()).submit(std::make_shared<NamesJob>(std::move(root), firstBytes, idBytes));
}

}  // namespace

void defineObjectNames(napi_env env, napi_value exports) {
  const FunctionEntry functions[] = {{"objectNames", entry<objectNames>}};
  defineFunctions(env, exports, functions, std::size(functions));
}

}  // namespace cfs
