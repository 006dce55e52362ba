// The set of objects that stay, and one pass over the directories of a repository that takes everything else away.
#include <atomic>

#include "addon.h"
#include "fanout-entries.h"
#include "id-set.h"
#include "js.h"

namespace cfs {

namespace {

/** So many bytes of names may be read ahead; other directories are listed when they are swept. */
constexpr size_t kMostBytesAhead = 32 * 1024 * 1024;

/** What lies in the directory of one first byte. */
struct FanoutListing {
  /** Whether the rest is all that lies there. */
  bool complete = false;
  /** Of everything whose name makes one. */
  std::vector<uint8_t> ids;
  std::vector<std::string> others;
};

struct SweepPlan {
  std::string objectsPath;
  size_t idBytes = 0;
  IdSet live;
  FanoutListing ahead[kFanouts];
  std::atomic<size_t> bytesAhead{0};
  /** JavaScript thread only. */
  bool readingAhead = false;
};

/** @return 0 or errno */
int list(const SweepPlan& plan, FanoutEntries& entries, int root, uint8_t firstByte, FanoutListing& listing) {
  if (const int error = entries.open(root, firstByte)) return error;
  uint8_t id[kMaxDigestBytes] = {firstByte};
  while (const dirent* entry = entries.next()) {
    if (readObjectName(entry->d_name, plan.idBytes, id))
      listing.ids.insert(listing.ids.end(), id, id + plan.idBytes);
    else
      listing.others.emplace_back(entry->d_name);
  }
  listing.complete = entries.error() == 0;
  return entries.error();
}

/** Reads directories while somebody finds out what stays. What fails is tried again by the sweep, which tells. */
class ReadAheadJob : public Job {
 public:
  ReadAheadJob(std::shared_ptr<SweepPlan> plan, Fd root, size_t count) : Job(count), plan_(std::move(plan)), root_(std::move(root)) {}

  void run(Worker&, size_t begin, size_t end) override {
    for (size_t i = begin; i < end; i++) {
      if (plan_->bytesAhead.load(std::memory_order_relaxed) >= kMostBytesAhead) return;
      FanoutListing listing;
      try {
        FanoutEntries entries;
        list(*plan_, entries, root_.get(), static_cast<uint8_t>(i), listing);
      } catch (const std::exception&) {
        continue;
      }
      plan_->bytesAhead.fetch_add(listing.ids.size(), std::memory_order_relaxed);
      plan_->ahead[i] = std::move(listing);
    }
  }

  void cancel(size_t, size_t) override {}

  napi_value settle(napi_env env) override {
    plan_->readingAhead = false;
    return makeUndefined(env);
  }

 private:
  const std::shared_ptr<SweepPlan> plan_;
  const Fd root_;
};

/** What was done in the directory of one first byte. */
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
  FanoutSweep(SweepPlan& plan, int root, bool remove, SweptFanout& swept) : plan_(plan), root_(root), remove_(remove), swept_(swept) {}

  void run(uint8_t firstByte) {
    FanoutListing listing = std::move(plan_.ahead[firstByte]);
    plan_.ahead[firstByte] = {};
    FanoutEntries entries;
    if (!listing.complete) {
      listing = {};
      swept_.error = list(plan_, entries, root_, firstByte, listing);
    }
    swept_.others = std::move(listing.others);
    const uint8_t* const end = listing.ids.data() + listing.ids.size();
    for (const uint8_t* id = listing.ids.data(); id < end && swept_.error == 0; id += plan_.idBytes) {
      if (plan_.live.has(id))
        swept_.kept++;
      else if (isThere(entries, firstByte))
        take(entries.fd(), ObjectName(id, plan_.idBytes).text);
    }
  }

 private:
  /** Where it was read ahead, the directory is opened for the first removal. */
  bool isThere(FanoutEntries& entries, uint8_t firstByte) {
    if (!entries.isOpen()) swept_.error = entries.open(root_, firstByte);
    return entries.isOpen();
  }

  void take(int fd, const char* name) {
    struct stat facts;
    if (::fstatat(fd, name, &facts, AT_SYMLINK_NOFOLLOW) != 0) return fail(name);
    if (!S_ISREG(facts.st_mode)) {
      swept_.others.emplace_back(name);
      return;
    }
    if (remove_ && ::unlinkat(fd, name, 0) != 0) return fail(name);
    swept_.removed++;
    swept_.removedBytes += static_cast<uint64_t>(facts.st_size);
  }

  void fail(const char* name) {
    if (errno == ENOENT) return;  // gone already
    swept_.error = errno;
    swept_.at = name;
  }

  SweepPlan& plan_;
  const int root_;
  const bool remove_;
  SweptFanout& swept_;
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

Fd openObjects(const SweepPlan& plan) {
  return Fd(::open(plan.objectsPath.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

const std::shared_ptr<SweepPlan>& idlePlanOf(Call& call) {
  const std::shared_ptr<SweepPlan>& plan = planOf(call);
  if (plan->readingAhead) throw ErrorToThrow{"ERR_CFS_NATIVE", "the directories are being read"};
  return plan;
}

napi_value readAhead(Call& call) {
  const std::shared_ptr<SweepPlan>& plan = idlePlanOf(call);
  Fd root = openObjects(*plan);
  const size_t rows = root.open() ? kFanouts : 0;  // the sweep says why not
  napi_value promise = commonPool(call.env()).submit(std::make_shared<ReadAheadJob>(plan, std::move(root), rows));
  plan->readingAhead = true;
  return promise;
}

napi_value sweepFanouts(Call& call) {
  const size_t first = call.number(0, "first"), count = call.number(1, "count");
  if (first > kFanouts || count > kFanouts - first) throw TypeProblem{"there are 256 directories"};
  napi_value options = call.value(2);
  const bool remove = readFlag(call.env(), options, "remove");
  const std::shared_ptr<SweepPlan>& plan = idlePlanOf(call);
  Fd root = openObjects(*plan);
  if (!root.open() && errno != ENOENT) throw SystemProblem{errno, "open"};
  const size_t rows = root.open() ? count : 0;  // a repository may be without objects
  return commonPool(call.env()).submit(std::make_shared<SweepJob>(plan, std::move(root), first, rows, remove));
}

}  // namespace

void defineObjectSweep(napi_env env, napi_value exports) {
  const auto method = [](const char* name, napi_callback callback) {
    return napi_property_descriptor{name, nullptr, callback, nullptr, nullptr, nullptr, napi_default_method, nullptr};
  };
  const napi_property_descriptor methods[] = {method("keep", entry<keep>), method("readAhead", entry<readAhead>),
                                            method("sweep", entry<sweepFanouts>)};
  napi_value type;
  check(env, napi_define_class(env, "ObjectSweep", NAPI_AUTO_LENGTH, entry<construct>, nullptr, std::size(methods), methods, &type));
  setProperty(env, exports, "ObjectSweep", type);
}

}  // namespace cfs
