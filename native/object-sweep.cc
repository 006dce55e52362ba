// The set of objects that stay, and one pass over the directories of a repository that takes everything else away.
#include <sys/random.h>

#include "addon.h"
#include "columns.h"
#include "fanout-entries.h"
#include "js.h"

namespace cfs {

namespace {

/** Ids of one algorithm, by their first 32 bytes: as good as all of them. */
class IdSet {
 public:
  IdSet() {
    // ids come from strangers' streams: without secret factors they could choose ones that all collide
    if (::getrandom(factors_, sizeof factors_, 0) != sizeof factors_) throw SystemProblem{errno, "getrandom"};
    for (uint64_t& factor : factors_) factor |= 1;
  }

  void add(const uint8_t* id) {
    makeRoom(count_ + 1);
    if (put(id)) count_++;
  }

  /** For so many in all: the table grows once for them. */
  void makeRoom(size_t count) {
    size_t slots = std::max(slots_, kFewestSlots);
    while (count * 4 > slots * 3) slots *= 2;
    if (slots > slots_) grow(slots);
  }

  bool has(const uint8_t* id) const {
    if (slots_ == 0) return false;
    const Key key = load(id);
    for (size_t slot = slotOf(key);; slot = (slot + 1) & (slots_ - 1)) {
      if (!used_[slot]) return false;
      if (keys_[slot] == key) return true;
    }
  }

 private:
  struct Key {
    uint64_t words[4];
    bool operator==(const Key& other) const { return std::memcmp(words, other.words, sizeof words) == 0; }
  };
  static constexpr size_t kFewestSlots = 1024;

  static Key load(const uint8_t* id) {
    Key key;
    std::memcpy(key.words, id, sizeof key.words);
    return key;
  }

  size_t slotOf(const Key& key) const {
    uint64_t hash = 0;
    for (int i = 0; i < 4; i++) hash += key.words[i] * factors_[i];
    return (hash ^ hash >> 32) * factors_[4] >> shift_;
  }

  bool put(const uint8_t* id) {
    const Key key = load(id);
    size_t slot = slotOf(key);
    for (; used_[slot]; slot = (slot + 1) & (slots_ - 1))
      if (keys_[slot] == key) return false;
    keys_[slot] = key;
    used_[slot] = true;
    return true;
  }

  void grow(size_t slots) {
    const std::vector<Key> keys(std::move(keys_));
    const std::vector<uint8_t> used(std::move(used_));
    keys_.assign(slots, Key{});
    used_.assign(slots, 0);
    slots_ = slots;
    shift_ = 64 - __builtin_ctzll(slots);
    for (size_t i = 0; i < used.size(); i++)
      if (used[i]) put(reinterpret_cast<const uint8_t*>(keys[i].words));
  }

  uint64_t factors_[5];
  size_t slots_ = 0, count_ = 0;
  int shift_ = 0;
  std::vector<Key> keys_;
  std::vector<uint8_t> used_;
};

struct SweepPlan {
  std::string objectsPath;
  size_t idBytes = 0;
  IdSet live;
};

/** What was found in the directory of one first byte. */
struct SweptFanout {
  int error = 0;
  /** Entry at which the error was; empty: the directory itself. */
  std::string at;
  uint32_t kept = 0, removed = 0;
  uint64_t removedBytes = 0;
  /** Entries that are no object's, or no file. */
  std::vector<std::string> others;
};

class FanoutSweep {
 public:
  FanoutSweep(const SweepPlan& plan, int root, bool remove, SweptFanout& swept)
      : plan_(plan), root_(root), remove_(remove), swept_(swept) {}

  void run(uint8_t firstByte) {
    id_[0] = firstByte;
    FanoutEntries entries;
    swept_.error = entries.open(root_, firstByte);
    // names first: what a listing does that is changed meanwhile is up to the file system
    std::vector<std::string> dead;
    while (const dirent* entry = entries.next()) look(entry->d_name, dead);
    if (swept_.error == 0) swept_.error = entries.error();
    for (const std::string& name : dead)
      if (swept_.error == 0) take(entries.fd(), name);
  }

 private:
  void look(const char* name, std::vector<std::string>& dead) {
    if (!readObjectName(name, plan_.idBytes, id_))
      swept_.others.emplace_back(name);
    else if (plan_.live.has(id_))
      swept_.kept++;
    else
      dead.emplace_back(name);
  }

  void take(int fd, const std::string& name) {
    struct stat facts;
    if (::fstatat(fd, name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) != 0) return fail(name);
    if (!S_ISREG(facts.st_mode)) {
      swept_.others.push_back(name);
      return;
    }
    if (remove_ && ::unlinkat(fd, name.c_str(), 0) != 0) return fail(name);
    swept_.removed++;
    swept_.removedBytes += static_cast<uint64_t>(facts.st_size);
  }

  void fail(const std::string& name) {
    if (errno == ENOENT) return;  // gone already
    swept_.error = errno;
    swept_.at = name;
  }

  const SweepPlan& plan_;
  const int root_;
  const bool remove_;
  SweptFanout& swept_;
  uint8_t id_[kMaxDigestBytes];
};

class SweepJob : public Job {
 public:
  SweepJob(std::shared_ptr<SweepPlan> plan, Fd root, size_t first, size_t count, bool remove)
      : Job(count), plan_(std::move(plan)), root_(std::move(root)), first_(first), remove_(remove), swept_(count) {}

  void run(Worker&, size_t begin, size_t end) override {
    for (size_t i = begin; i < end; i++) {
      try {
        FanoutSweep(*plan_, root_.get(), remove_, swept_[i]).run(static_cast<uint8_t>(first_ + i));
      } catch (const std::exception&) {
        swept_[i].error = ENOMEM;
      }
    }
  }

  void cancel(size_t begin, size_t end) override {
    for (size_t i = begin; i < end; i++) swept_[i].error = ECANCELED;
  }

  napi_value settle(napi_env env) override {
    napi_value result, others;
    check(env, napi_create_object(env, &result));
    check(env, napi_create_array(env, &others));
    double kept = 0, removed = 0, removedBytes = 0;
    uint32_t otherCount = 0;
    for (size_t i = 0; i < swept_.size(); i++) {
      const SweptFanout& swept = swept_[i];
      kept += swept.kept;
      removed += swept.removed;
      removedBytes += static_cast<double>(swept.removedBytes);
      for (const std::string& name : swept.others)
        check(env, napi_set_element(env, others, otherCount++, makeText(env, pathOf(i, name))));
    }
    setProperty(env, result, "kept", makeNumber(env, kept));
    setProperty(env, result, "removed", makeNumber(env, removed));
    setProperty(env, result, "removedBytes", makeNumber(env, removedBytes));
    setProperty(env, result, "others", others);
    for (size_t i = 0; i < swept_.size(); i++) {
      if (swept_[i].error == 0) continue;
      setProperty(env, result, "error", systemError(env, swept_[i].error, swept_[i].at.empty() ? "scandir" : "unlink"));
      setProperty(env, result, "errorAt", makeText(env, pathOf(i, swept_[i].at)));
      break;
    }
    return result;
  }

 private:
  std::string pathOf(size_t row, const std::string& name) const { return pathInFanout(static_cast<uint8_t>(first_ + row), name); }

  const std::shared_ptr<SweepPlan> plan_;
  const Fd root_;
  const size_t first_;
  const bool remove_;
  std::vector<SweptFanout> swept_;
};

struct SweepHandle {
  std::shared_ptr<SweepPlan> plan;
};

const std::shared_ptr<SweepPlan>& planOf(Call& call) {
  void* handle = nullptr;
  check(call.env(), napi_unwrap(call.env(), call.self(), &handle));
  return static_cast<SweepHandle*>(handle)->plan;
}

napi_value construct(Call& call) {
  auto handle = std::make_unique<SweepHandle>();
  handle->plan = std::make_shared<SweepPlan>();
  handle->plan->objectsPath = call.path(0);
  handle->plan->idBytes = digestBytes(call.algorithm(1));
  check(call.env(), napi_wrap(
                        call.env(), call.self(), handle.get(),
                        [](napi_env, void* data, void*) { delete static_cast<SweepHandle*>(data); }, nullptr, nullptr));
  handle.release();
  return call.self();
}

napi_value keep(Call& call) {
  SweepPlan& plan = *planOf(call);
  const Span ids = call.bytes(0, "ids");
  if (ids.size % plan.idBytes != 0) throw TypeProblem{"ids must be whole digests"};
  plan.live.makeRoom(ids.size / plan.idBytes);  // those of one stream differ from each other
  for (size_t at = 0; at < ids.size; at += plan.idBytes) plan.live.add(ids.data + at);
  return makeUndefined(call.env());
}

napi_value sweepFanouts(Call& call) {
  const size_t first = call.number(0, "first"), count = call.number(1, "count");
  if (first > kFanouts || count > kFanouts - first) throw TypeProblem{"there are 256 directories"};
  napi_value options = call.value(2);
  const bool remove = readFlag(call.env(), options, "remove");
  const std::shared_ptr<SweepPlan>& plan = planOf(call);
  Fd root(::open(plan->objectsPath.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!root.open() && errno != ENOENT) throw SystemProblem{errno, "open"};
  const size_t rows = root.open() ? count : 0;  // a repository may be without objects
  return commonPool(call.env()).submit(std::make_shared<SweepJob>(plan, std::move(root), first, rows, remove));
}

}  // namespace

void defineObjectSweep(napi_env env, napi_value exports) {
  const auto method = [](const char* name, napi_callback callback) {
    return napi_property_descriptor{name, nullptr, callback, nullptr, nullptr, nullptr, napi_default_method, nullptr};
  };
  const napi_property_descriptor methods[] = {method("keep", entry<keep>), method("sweep", entry<sweepFanouts>)};
  napi_value type;
  check(env, napi_define_class(env, "ObjectSweep", NAPI_AUTO_LENGTH, entry<construct>, nullptr, std::size(methods), methods, &type));
  setProperty(env, exports, "ObjectSweep", type);
}

}  // namespace cfs
