// Hashing whole files on all cores: fs-verity digests, and ostree checksums from the same read.
#include <algorithm>

#include "addon.h"
#include "columns.h"
#include "file-hasher.h"
#include "js.h"

namespace cfs {

namespace {

class HashFilesJob : public Job {
 public:
  HashFilesJob(std::vector<std::string> paths, HashingPlan plan_)
      : Job(paths.size()), plan(plan_), files(paths.size()), paths_(std::move(paths)) {}

  void run(Worker& worker, size_t begin, size_t end) override {
    ShareHasher share(static_cast<IngestWorker&>(worker), plan);
    for (size_t i = begin; i < end; i++) guardFile(files[i], [&] { share.hashPath(paths_[i].c_str(), files[i]); });
    try {
      share.flush();
    } catch (const std::exception&) {
      cancel(begin, end);
    }
  }

  void cancel(size_t begin, size_t end) override {
    for (size_t i = begin; i < end; i++) files[i].error = ECANCELED;
  }

  napi_value settle(napi_env env) override {
    const size_t count = files.size(), digestSize = digestBytes(plan.algorithm);
    size_t checksumCount = 0;
    for (const HashedFile& file : files) checksumCount += file.headers.size();
    Columns columns(env, count * (sizeof(int32_t) + sizeof(double) + digestSize + 1) + checksumCount * kSha256Bytes + 5 * 8);
    auto* errors = columns.add<int32_t>("errno", napi_int32_array, count);
    auto* sizes = columns.add<double>("sizes", napi_float64_array, count);
    auto* digests = columns.add<uint8_t>("digests", napi_uint8_array, count * digestSize);
    auto* measured = columns.add<uint8_t>("measured", napi_uint8_array, count);
    auto* checksums = columns.add<uint8_t>("checksums", napi_uint8_array, checksumCount * kSha256Bytes);
    for (size_t i = 0; i < count; i++) {
      const HashedFile& file = files[i];
      errors[i] = file.error;
      sizes[i] = static_cast<double>(file.size);
      if (file.error == 0) {
        std::memcpy(digests + i * digestSize, file.digest, digestSize);
        measured[i] = !file.hasVerity ? 0 : file.measured.is(plan.algorithm, file.digest) ? 1 : 2;
        std::copy(file.checksums.begin(), file.checksums.end(), checksums);
      }
      checksums += file.headers.size() * kSha256Bytes;
    }
    return columns.object();
  }

  const HashingPlan plan;
  std::vector<HashedFile> files;

 private:
  std::vector<std::string> paths_;
};

class VerityFileJob : public Job {
 public:
  VerityFileJob(std::string path, Fd fd, HashingPlan plan) : Job(1), path_(std::move(path)), fd_(std::move(fd)), plan_(plan) {}
  void run(Worker& worker, size_t, size_t) override {
    guardFile(file_, [&] {
      ShareHasher share(static_cast<IngestWorker&>(worker), plan_);
      if (fd_.open())
        file_.error = share.hashOpen(std::move(fd_), file_);
      else
        share.hashPath(path_.c_str(), file_);
      share.flush();
    });
  }
  void cancel(size_t, size_t) override { file_.error = ECANCELED; }
  napi_value settle(napi_env env) override {
    if (file_.error != 0) throw SystemProblem{file_.error, "read"};
    return makeBytes(env, {file_.digest, digestBytes(plan_.algorithm)});
  }

 private:
  const std::string path_;
  Fd fd_;
  const HashingPlan plan_;
  HashedFile file_;
};

napi_value hashFiles(Call& call) {
  napi_env env = call.env();
  napi_value options = call.value(1);
  HashingPlan plan;
  plan.algorithm = readAlgorithm(env, property(env, options, "algorithm"));
  plan.pool = &commonPool(env);
  napi_value maxBytes = property(env, options, "maxBytes");
  if (!isUndefined(env, maxBytes)) {
    double limit = -1;
    if (napi_get_value_double(env, maxBytes, &limit) != napi_ok || !(limit >= 0) || limit > 9007199254740991.0)
      throw TypeProblem{"maxBytes must be a number of bytes"};
    plan.maxBytes = static_cast<uint64_t>(limit);
  }
  auto job = std::make_shared<HashFilesJob>(readPaths(env, call.value(0), "paths"), plan);
  napi_value headers = property(env, options, "contentHeaders");
  if (!isUndefined(env, headers)) {
    if (readArrayLength(env, headers, "contentHeaders") != job->files.size())
      throw TypeProblem{"contentHeaders must be as many as paths"};
    for (size_t i = 0; i < job->files.size(); i++) {
      napi_value ofFile;
      check(env, napi_get_element(env, headers, static_cast<uint32_t>(i), &ofFile));
      if (!isUndefined(env, ofFile)) job->files[i].headers = readByteArrays(env, ofFile, "contentHeaders");
    }
    job->keep(env, headers);
  }
  return commonPool(env).submit(std::move(job));
}

napi_value fsVerityFile(Call& call) {
  HashingPlan plan;
  plan.algorithm = call.algorithm(1);
  plan.pool = &commonPool(call.env());
  Fd fd;
  std::string path;
  if (call.isNumber(0)) {
    fd.reset(::fcntl(call.fd(0), F_DUPFD_CLOEXEC, 0));  // the caller may close its own meanwhile
    if (!fd.open()) throw SystemProblem{errno, "fcntl"};
  } else {
    path = call.path(0);
  }
  return commonPool(call.env()).submit(std::make_shared<VerityFileJob>(std::move(path), std::move(fd), plan));
}

void verityOf(ShaEngine engine, Algorithm algorithm, Span bytes, uint8_t* digest) {
  MessageHasher hasher(algorithm, engine);
  const auto batch = std::make_unique<VerityBatch>(hasher);
  const VerityItem item = {bytes, digest};
  batch->digests(&item, 1);
}

napi_value fsVerity(Call& call) {
  uint8_t digest[kMaxDigestBytes];
  const Algorithm algorithm = call.algorithm(0);
  verityOf(bestShaEngine(), algorithm, call.bytes(1, "bytes"), digest);
  return makeBytes(call.env(), {digest, digestBytes(algorithm)});
}

napi_value fsVerityWith(Call& call) {
  const std::string name = call.text(0, "engine");
  const ShaEngine engine = name == "avx512" ? ShaEngine::Avx512 : ShaEngine::Evp;
  if (engine == ShaEngine::Avx512 && bestShaEngine() != engine) throw ErrorToThrow{"ERR_CFS_ENGINE", "this CPU has no AVX-512"};
  uint8_t digest[kMaxDigestBytes];
  const Algorithm algorithm = call.algorithm(1);
  verityOf(engine, algorithm, call.bytes(2, "bytes"), digest);
  return makeBytes(call.env(), {digest, digestBytes(algorithm)});
}

napi_value sha256(Call& call) {
  thread_local Sha sha(Algorithm::Sha256);
  uint8_t digest[kSha256Bytes];
  sha.start();
  sha.update(call.bytes(0, "head"));
  if (call.has(1)) sha.update(call.bytes(1, "tail"));
  sha.finish(digest);
  return makeBytes(call.env(), {digest, kSha256Bytes});
}

}  // namespace

void defineHashFiles(napi_env env, napi_value exports) {
  const FunctionEntry functions[] = {{"hashFiles", entry<hashFiles>},
                                     {"fsVerityFile", entry<fsVerityFile>},
                                     {"fsVerity", entry<fsVerity>},
                                     {"fsVerityWith", entry<fsVerityWith>},
                                     {"sha256", entry<sha256>}};
  defineFunctions(env, exports, functions, std::size(functions));
}

}  // namespace cfs
