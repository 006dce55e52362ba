// stageObjects(), publishSubdirectories() and publishObjects(): batches of objects on their way into an ostree repository.
#include <algorithm>

#include "addon.h"
#include "columns.h"
#include "js.h"
#include "staged-object.h"

namespace cfs {

namespace {

LocalMode readExportMode(napi_env env, napi_value place) {
  const std::string text = readText(env, property(env, place, "mode"), "mode");
  if (text == "archive") return LocalMode::Archive;
  if (text == "bare") return LocalMode::Bare;
  if (text == "bare-user") return LocalMode::BareUser;
  if (text == "bare-user-only") return LocalMode::BareUserOnly;
  throw TypeProblem{"mode must be archive, bare, bare-user or bare-user-only"};
}

int readFd(napi_env env, napi_value object, const char* name) {
  int32_t fd = -1;
  if (napi_get_value_int32(env, property(env, object, name), &fd) != napi_ok || fd < 0)
    throw TypeProblem{std::string(name) + " must be a descriptor"};
  return fd;
}

StagingPlace readPlace(napi_env env, napi_value value) {
  StagingPlace place;
  place.objects = readFd(env, value, "objectsFd");
  place.staging = readFd(env, value, "stagingFd");
  place.target = readFd(env, value, "targetFd");
  place.mode = readExportMode(env, value);
  place.algorithm = readAlgorithm(env, property(env, value, "algorithm"));
  return place;
}

/** The columns that both calls have. Read in place: `keep` the object that holds them. */
std::vector<StagedObject> readObjects(napi_env env, napi_value columns) {
  const Span kinds = readBytes(env, property(env, columns, "kinds"), "kinds");
  const Span checksums = readBytes(env, property(env, columns, "checksums"), "checksums");
  if (checksums.size != kinds.size * kSha256Bytes) throw TypeProblem{"checksums must hold 32 bytes per object"};
  std::vector<StagedObject> objects(kinds.size);
  for (size_t i = 0; i < objects.size(); i++) {
    if (kinds.data[i] >= kStagedKinds) throw TypeProblem{"kinds must be 0 to 4"};
    objects[i].kind = static_cast<StagedKind>(kinds.data[i]);
    objects[i].checksum = checksums.data + i * kSha256Bytes;
  }
  return objects;
}

void readContents(napi_env env, napi_value columns, size_t idBytes, std::vector<StagedObject>& objects) {
  const Span ids = readBytes(env, property(env, columns, "ids"), "ids");
  const Span data = readBytes(env, property(env, columns, "data"), "data");
  const Span ends = readBytes(env, property(env, columns, "dataEnds"), "dataEnds");
  if (ids.size != objects.size() * idBytes) throw TypeProblem{"ids must hold one id per object"};
  if (ends.size != objects.size() * sizeof(uint32_t)) throw TypeProblem{"dataEnds must hold four bytes per object"};
  size_t start = 0;
  for (size_t i = 0; i < objects.size(); i++) {
    const auto end = static_cast<size_t>(readLittleEndian(ends.data + i * sizeof(uint32_t), sizeof(uint32_t)));
    if (end < start || end > data.size) throw TypeProblem{"dataEnds must ascend within data"};
    objects[i].id = ids.data + i * idBytes;
    objects[i].data = data.slice(start, end);
    start = end;
  }
}

class StageJob : public Job {
 public:
  StageJob(const StagingPlace& place, std::vector<StagedObject> objects)
      : Job(objects.size()), place_(place), objects_(std::move(objects)) {}

  void run(Worker& worker, size_t begin, size_t end) override {
    for (size_t i = begin; i < end; i++) {
      try {
        stageObject(static_cast<IngestWorker&>(worker), place_, objects_[i]);
      } catch (const std::exception&) {
        objects_[i].result = Staged::NotDone;  // no memory: the caller's own way needs less
      }
    }
  }

  void cancel(size_t, size_t) override {}

  napi_value settle(napi_env env) override {
    const size_t count = objects_.size();
    Columns columns(env, Columns::room(count, 1) + Columns::room(count, sizeof(double)));
    auto* results = columns.add<uint8_t>("results", napi_uint8_array, count);
    auto* bytes = columns.add<double>("bytes", napi_float64_array, count);
    for (size_t i = 0; i < count; i++) {
      results[i] = static_cast<uint8_t>(objects_[i].result);
      bytes[i] = static_cast<double>(objects_[i].bytes);
    }
    return columns.object();
  }

 private:
  const StagingPlace place_;
  std::vector<StagedObject> objects_;
};

/** A row for each subdirectory. */
class PublishSubdirectoriesJob : public Job {
 public:
  PublishSubdirectoriesJob(const StagingPlace& place, Span firstBytes)
      : Job(firstBytes.size), place_(place), firstBytes_(firstBytes), moved_(firstBytes.size) {
    struct stat staging, target;
    mayMove_ = ::fstat(place_.staging, &staging) == 0 && ::fstat(place_.target, &target) == 0 && inheritAlike(staging, target);
  }

  void run(Worker&, size_t begin, size_t end) override {
    for (size_t i = begin; i < end; i++) moved_[i] = mayMove_ && publishSubdirectory(place_, firstBytes_.data[i]);
  }

  void cancel(size_t, size_t) override {}

  napi_value settle(napi_env env) override {
    Columns columns(env, Columns::room(moved_.size(), 1));
    auto* moved = columns.add<uint8_t>("moved", napi_uint8_array, moved_.size());
    std::copy(moved_.begin(), moved_.end(), moved);
    return columns.object();
  }

 private:
  /** What is made in them belongs to the same group: a repository that several users write has such directories. */
  static bool inheritAlike(const struct stat& a, const struct stat& b) {
    return a.st_gid == b.st_gid && (a.st_mode & S_ISGID) == (b.st_mode & S_ISGID);
  }

  const StagingPlace place_;
  const Span firstBytes_;
  bool mayMove_ = false;
  std::vector<uint8_t> moved_;
};

class PublishJob : public Job {
 public:
  PublishJob(const StagingPlace& place, std::vector<StagedObject> objects)
      : Job(objects.size()), place_(place), objects_(std::move(objects)), errors_(objects_.size(), ECANCELED) {}

  void run(Worker&, size_t begin, size_t end) override {
    for (size_t i = begin; i < end; i++) {
      const StagedObject& object = objects_[i];
      errors_[i] = publishStaged(place_, object.kind, object.checksum);
      if (errors_[i] != ENOENT) continue;
      errors_[i] = makeObjectDirectory(place_, object.checksum);
      if (errors_[i] == 0) errors_[i] = publishStaged(place_, object.kind, object.checksum);
    }
  }

  void cancel(size_t, size_t) override {}

  napi_value settle(napi_env env) override {
    Columns columns(env, Columns::room(errors_.size(), sizeof(int32_t)));
    auto* errors = columns.add<int32_t>("errno", napi_int32_array, errors_.size());
    for (size_t i = 0; i < errors_.size(); i++) errors[i] = errors_[i];
    return columns.object();
  }

 private:
  const StagingPlace place_;
  const std::vector<StagedObject> objects_;
  std::vector<int> errors_;
};

napi_value stageObjects(Call& call) {
  napi_env env = call.env();
  const StagingPlace place = readPlace(env, call.value(0));
  std::vector<StagedObject> objects = readObjects(env, call.value(1));
  readContents(env, call.value(1), digestBytes(place.algorithm), objects);
  auto job = std::make_shared<StageJob>(place, std::move(objects));
  job->keep(env, call.value(1));
  return commonPool(env).submit(std::move(job));
}

napi_value publishSubdirectories(Call& call) {
  napi_env env = call.env();
  const StagingPlace place = readPlace(env, call.value(0));
  auto job = std::make_shared<PublishSubdirectoriesJob>(place, call.bytes(1, "firstBytes"));
  job->keep(env, call.value(1));
  return commonPool(env).submit(std::move(job));
}

napi_value publishObjects(Call& call) {
  napi_env env = call.env();
  const StagingPlace place = readPlace(env, call.value(0));
  auto job = std::make_shared<PublishJob>(place, readObjects(env, call.value(1)));
  job->keep(env, call.value(1));
  return commonPool(env).submit(std::move(job));
}

}  // namespace

void defineOstreeExport(napi_env env, napi_value exports) {
  static constexpr FunctionEntry kEntries[] = {
      {"stageObjects", entry<stageObjects>},
      {"publishSubdirectories", entry<publishSubdirectories>},
      {"publishObjects", entry<publishObjects>},
  };
  defineFunctions(env, exports, kEntries, std::size(kEntries));
}

}  // namespace cfs
