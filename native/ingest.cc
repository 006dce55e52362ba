// The JavaScript classes Ingest and IngestStream.
#include "addon.h"
#include "ingest-job.h"

namespace cfs {

namespace {

/** One `.filez` that arrives in pieces; its pieces are jobs that run one after the other. */
struct StreamState {
  StreamState(std::shared_ptr<IngestSettings> settings_, WorkerPool* pool_)
      : settings(std::move(settings_)), pool(pool_), object(std::make_unique<ArchiveStream>(*settings, row)) {}
  std::shared_ptr<IngestSettings> settings;
  WorkerPool* pool;
  IngestRow row;
  std::unique_ptr<ArchiveStream> object;
  bool ended = false;  // JavaScript thread

  std::mutex mutex;
  std::deque<std::shared_ptr<Job>> waiting;
  bool running = false;

  /** The next piece, when the one before is done. */
  void enqueue(std::shared_ptr<Job> job) {
    {
      std::lock_guard<std::mutex> lock(mutex);
      if (running) {
        waiting.push_back(std::move(job));
        return;
      }
      running = true;
    }
    pool->release(std::move(job));
  }
  void next() {
    std::shared_ptr<Job> job;
    {
      std::lock_guard<std::mutex> lock(mutex);
      running = !waiting.empty();
      if (!running) return;
      job = std::move(waiting.front());
      waiting.pop_front();
    }
    pool->release(std::move(job));
  }
};

class PieceJob : public Job {
 public:
  PieceJob(std::shared_ptr<StreamState> stream, Span piece) : Job(1), stream_(std::move(stream)), piece_(piece) {}
  void run(Worker& worker, size_t, size_t) override {
    guardRow(stream_->row, [&] { wanted_ = stream_->object->feed(static_cast<IngestWorker&>(worker), piece_); });
    stream_->next();
  }
  void cancel(size_t, size_t) override { stream_->next(); }
  napi_value settle(napi_env env) override { return makeBoolean(env, wanted_); }

 private:
  std::shared_ptr<StreamState> stream_;
  Span piece_;
  bool wanted_ = false;
};

/** The end of a stream: its result, or only its cleaning up. */
class EndJob : public Job {
 public:
  EndJob(std::shared_ptr<StreamState> stream, bool aborted) : Job(1), stream_(std::move(stream)), aborted_(aborted) {}
  void run(Worker& worker, size_t, size_t) override {
    if (!aborted_) guardRow(stream_->row, [&] { stream_->object->finish(static_cast<IngestWorker&>(worker)); });
    stream_->object.reset();  // closes and removes the temporary here, not on the JavaScript thread
    stream_->next();
  }
  void cancel(size_t, size_t) override {
    stream_->row.end(Status::Closed);
    stream_->object.reset();
    stream_->next();
  }
  napi_value settle(napi_env env) override {
    return aborted_ ? makeUndefined(env) : makeBatch(env, *stream_->settings, &stream_->row, 1);
  }

 private:
  std::shared_ptr<StreamState> stream_;
  const bool aborted_;
};

/** What the JavaScript objects hold. */
struct IngestHandle {
  std::shared_ptr<IngestSettings> settings;
  std::unique_ptr<WorkerPool> pool;
};
/** Marks objects of class Ingest: for those that come as an argument nobody else checks it. */
constexpr napi_type_tag kIngestTag = {0x6366732d6f737472, 0x6565496e67657374};
struct StreamHandle {
  std::shared_ptr<StreamState> state;
  napi_ref owner = nullptr;
};

/** Methods get only objects of their own class: the engine sees to that. */
template <typename Handle>
Handle& unwrap(Call& call) {
  void* handle = nullptr;
  check(call.env(), napi_unwrap(call.env(), call.self(), &handle));
  return *static_cast<Handle*>(handle);
}

template <typename Handle>
void wrap(Call& call, std::unique_ptr<Handle> handle, napi_finalize finalize) {
  check(call.env(), napi_wrap(call.env(), call.self(), handle.get(), finalize, nullptr, nullptr));
  handle.release();
}

napi_value constructIngest(Call& call) {
  napi_env env = call.env();
  napi_value options = call.value(0);
  const std::string path = readPath(env, property(env, options, "objectsPath"));
  ObjectDirectoryOptions directory = {};
  directory.algorithm = readAlgorithm(env, property(env, options, "algorithm"));
  directory.secure = readFlag(env, options, "secure");
  directory.namedTemporaries = readFlag(env, options, "namedTemporaries");
  size_t threads = usableCpus();
  napi_value wanted = property(env, options, "threads");
  if (!isUndefined(env, wanted)) {
    uint32_t number = 0;
    if (napi_get_value_uint32(env, wanted, &number) != napi_ok || number == 0 || number > kMostThreads)
      throw TypeProblem{"threads must be a number from 1 to 1024"};
    threads = number;
  }
  Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.open()) throw SystemProblem{errno, "open"};

  auto handle = std::make_unique<IngestHandle>();
  handle->pool = std::make_unique<WorkerPool>(env, threads, IngestWorker::make);
  handle->settings = std::shared_ptr<IngestSettings>(
      new IngestSettings{ObjectDirectory(std::move(fd), directory), readFlag(env, options, "alsoSha256"), handle->pool.get()});
  handle->pool->whenStopped = [settings = handle->settings] { settings->directory.close(); };
  wrap(call, std::move(handle), [](napi_env, void* data, void*) { delete static_cast<IngestHandle*>(data); });
  check(env, napi_type_tag_object(env, call.self(), &kIngestTag));
  return call.self();
}

Span readChecksums(Call& call, size_t index, size_t count) {
  const Span checksums = call.bytes(index, "checksums");
  if (checksums.size != count * kSha256Bytes) throw TypeProblem{"checksums must hold 32 bytes per object"};
  if (count > kMostRowsPerBatch) throw TypeProblem{"a batch must not have more than 4000 objects"};
  static const uint8_t nothing = 0;
  return checksums.data != nullptr ? checksums : Span{&nothing, 0};
}

napi_value archive(Call& call) {
  IngestHandle& handle = unwrap<IngestHandle>(call);
  std::vector<Span> bodies = readByteArrays(call.env(), call.value(0), "bodies");
  const Span checksums = readChecksums(call, 1, bodies.size());
  auto job = std::make_shared<ArchiveJob>(handle.settings, std::move(bodies), checksums);
  job->keep(call.env(), call.value(0));
  job->keep(call.env(), call.self());
  return handle.pool->submit(std::move(job));
}

LinkMode readLinkMode(napi_env env, napi_value options) {
  napi_value value = property(env, options, "link");
  if (isUndefined(env, value)) return LinkMode::None;
  const std::string text = readText(env, value, "link");
  if (text == "none") return LinkMode::None;
  if (text == "reflink") return LinkMode::Reflink;
  if (text == "hard") return LinkMode::Hard;
  if (text == "hard-sealed") return LinkMode::HardSealed;
  throw TypeProblem{"link must be none, reflink, hard or hard-sealed"};
}

LocalMode readLocalMode(napi_env env, napi_value options) {
  const std::string text = readText(env, property(env, options, "mode"), "mode");
  if (text == "archive") return LocalMode::Archive;
  if (text == "bare") return LocalMode::Bare;
  if (text == "bare-user") return LocalMode::BareUser;
  if (text == "bare-user-only") return LocalMode::BareUserOnly;
  if (text == "bare-split-xattrs") return LocalMode::BareSplitXattrs;
  throw TypeProblem{"mode must be a repository mode"};
}

napi_value submitLocal(Call& call, IngestHandle& handle, std::shared_ptr<LocalJob> job, LocalMode mode) {
  napi_env env = call.env();
  napi_value options = call.value(2);
  job->plan.mode = mode;
  job->plan.link = readLinkMode(env, options);
  job->plan.ignoreXattrs = readFlag(env, options, "ignoreXattrs");
  job->keep(env, call.self());
  return handle.pool->submit(std::move(job));
}

napi_value local(Call& call) {
  IngestHandle& handle = unwrap<IngestHandle>(call);
  napi_env env = call.env();
  std::vector<std::string> paths = readPaths(env, call.value(0), "paths");
  const Span checksums = readChecksums(call, 1, paths.size());
  const LocalMode mode = readLocalMode(env, call.value(2));
  std::vector<std::string> xattrsPaths;
  if (mode == LocalMode::BareSplitXattrs) {
    xattrsPaths = readPaths(env, property(env, call.value(2), "xattrsPaths"), "xattrsPaths");
    if (xattrsPaths.size() != paths.size()) throw TypeProblem{"xattrsPaths must be as many as paths"};
  }
  auto job = std::make_shared<LocalJob>(handle.settings, std::move(paths), std::move(xattrsPaths), checksums);
  return submitLocal(call, handle, std::move(job), mode);
}

napi_value loose(Call& call) {
  IngestHandle& handle = unwrap<IngestHandle>(call);
  napi_env env = call.env();
  const std::string objects = call.path(0);
  const size_t count = call.bytes(1, "checksums").size / kSha256Bytes;
  const Span checksums = readChecksums(call, 1, count);
  const LocalMode mode = readLocalMode(env, call.value(2));
  std::vector<std::string> paths, xattrsPaths;
  for (size_t i = 0; i < count; i++) {
    const uint8_t* checksum = checksums.data + i * kSha256Bytes;
    paths.push_back(looseObjectPath(objects, checksum, mode == LocalMode::Archive ? ".filez" : ".file"));
    if (mode == LocalMode::BareSplitXattrs) xattrsPaths.push_back(looseObjectPath(objects, checksum, ".file-xattrs-link"));
  }
  auto job = std::make_shared<LocalJob>(handle.settings, std::move(paths), std::move(xattrsPaths), checksums);
  return submitLocal(call, handle, std::move(job), mode);
}

napi_value adopt(Call& call) {
  IngestHandle& handle = unwrap<IngestHandle>(call);
  napi_env env = call.env();
  std::vector<std::string> paths = readPaths(env, call.value(0), "paths");
  std::vector<Span> headers = readByteArrays(env, call.value(1), "headers");
  if (headers.size() != paths.size()) throw TypeProblem{"headers must be as many as paths"};
  if (paths.size() > kMostRowsPerBatch) throw TypeProblem{"a batch must not have more than 4000 objects"};
  auto job = std::make_shared<AdoptJob>(handle.settings, std::move(paths), std::move(headers));
  if (call.has(2)) job->plan.link = readLinkMode(env, call.value(2));
  if (job->plan.link != LinkMode::None && job->plan.link != LinkMode::Reflink) throw TypeProblem{"adopted files are not hard-linked"};
  job->keep(env, call.value(1));
  job->keep(env, call.self());
  return handle.pool->submit(std::move(job));
}

napi_value stream(Call& call) {
  unwrap<IngestHandle>(call);
  napi_value constructor, result;
  napi_value arguments[] = {call.self(), call.value(0)};
  check(call.env(), napi_get_reference_value(call.env(), instanceData(call.env()).streamClass, &constructor));
  check(call.env(), napi_new_instance(call.env(), constructor, 2, arguments, &result));
  return result;
}

napi_value close(Call& call) { return unwrap<IngestHandle>(call).pool->close(); }

napi_value constructStream(Call& call) {
  napi_env env = call.env();
  bool right = false;
  void* owner = nullptr;
  if (napi_check_object_type_tag(env, call.value(0), &kIngestTag, &right) != napi_ok || !right ||
      napi_unwrap(env, call.value(0), &owner) != napi_ok)
    throw TypeProblem{"streams are made by Ingest.stream()"};
  auto& ingest = *static_cast<IngestHandle*>(owner);
  const Span checksum = readBytes(env, call.value(1), "checksum");
  if (checksum.size != kSha256Bytes) throw TypeProblem{"checksum must have 32 bytes"};
  auto handle = std::make_unique<StreamHandle>();
  handle->state = std::make_shared<StreamState>(ingest.settings, ingest.pool.get());
  std::memcpy(handle->state->row.expected, checksum.data, kSha256Bytes);
  check(env, napi_create_reference(env, call.value(0), 1, &handle->owner));  // the pool must outlive the stream
  wrap(call, std::move(handle), [](napi_env finalEnv, void* data, void*) {
    auto* ending = static_cast<StreamHandle*>(data);
    napi_delete_reference(finalEnv, ending->owner);
    delete ending;
  });
  return call.self();
}

napi_value submitToStream(Call& call, StreamHandle& handle, std::shared_ptr<Job> job) {
  job->keep(call.env(), call.self());
  napi_value promise = handle.state->pool->submit(job, true);
  handle.state->enqueue(std::move(job));
  return promise;
}

napi_value writePiece(Call& call) {
  StreamHandle& handle = unwrap<StreamHandle>(call);
  if (handle.state->ended) throw ErrorToThrow{"ERR_CFS_ENDED", "write after the end of the stream"};
  auto job = std::make_shared<PieceJob>(handle.state, call.bytes(0, "chunk"));
  job->keep(call.env(), call.value(0));
  return submitToStream(call, handle, std::move(job));
}

napi_value endStream(Call& call) {
  StreamHandle& handle = unwrap<StreamHandle>(call);
  if (handle.state->ended) throw ErrorToThrow{"ERR_CFS_ENDED", "the stream has ended"};
  napi_value promise = submitToStream(call, handle, std::make_shared<EndJob>(handle.state, false));
  handle.state->ended = true;
  return promise;
}

napi_value abortStream(Call& call) {
  StreamHandle& handle = unwrap<StreamHandle>(call);
  if (!handle.state->ended && !handle.state->pool->closing())
    submitToStream(call, handle, std::make_shared<EndJob>(handle.state, true));
  handle.state->ended = true;
  return makeUndefined(call.env());
}

}  // namespace

void defineIngest(napi_env env, napi_value exports) {
  const auto method = [](const char* name, napi_callback callback) {
    return napi_property_descriptor{name, nullptr, callback, nullptr, nullptr, nullptr, napi_default_method, nullptr};
  };
  const napi_property_descriptor ingestMethods[] = {method("archive", entry<archive>), method("local", entry<local>),
                                                    method("loose", entry<loose>), method("adopt", entry<adopt>),
                                                    method("stream", entry<stream>), method("close", entry<close>)};
  napi_value ingestClass, streamClass;
  check(env, napi_define_class(env, "Ingest", NAPI_AUTO_LENGTH, entry<constructIngest>, nullptr, std::size(ingestMethods),
                               ingestMethods, &ingestClass));
  const napi_property_descriptor streamMethods[] = {method("write", entry<writePiece>), method("end", entry<endStream>),
                                                    method("abort", entry<abortStream>)};
  check(env, napi_define_class(env, "IngestStream", NAPI_AUTO_LENGTH, entry<constructStream>, nullptr, std::size(streamMethods),
                               streamMethods, &streamClass));
  check(env, napi_create_reference(env, streamClass, 1, &instanceData(env).streamClass));
  setProperty(env, exports, "Ingest", ingestClass);

  napi_value statuses, steps;
  check(env, napi_create_object(env, &statuses));
#define CFS_STATUS(name, number, text) setProperty(env, statuses, text, makeNumber(env, number));
  CFS_INGEST_STATUSES(CFS_STATUS)
#undef CFS_STATUS
  setProperty(env, exports, "ingestStatus", statuses);
  check(env, napi_create_array(env, &steps));
  uint32_t count = 0;
#define CFS_STEP(name, text) check(env, napi_set_element(env, steps, count++, makeText(env, text)));
  CFS_INGEST_STEPS(CFS_STEP)
#undef CFS_STEP
  setProperty(env, exports, "ingestSteps", steps);
}

}  // namespace cfs
