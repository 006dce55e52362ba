// fs-verity ioctls, durability, locks.
#include <sys/file.h>

#include "addon.h"
#include "js.h"
#include "system.h"

namespace cfs {

namespace {

napi_value enableVerityCall(Call& call) {
  if (const int error = enableVerity(call.fd(0), call.algorithm(1))) throw SystemProblem{error, "FS_IOC_ENABLE_VERITY"};
  return makeUndefined(call.env());
}

napi_value measureVerityCall(Call& call) {
  MeasuredDigest measured;
  const int error = measureVerity(call.fd(0), measured);
  if (error == ENODATA) return makeNull(call.env());
  if (error != 0) throw SystemProblem{error, "FS_IOC_MEASURE_VERITY"};
  const bool is256 = measured.algorithm == static_cast<unsigned>(Algorithm::Sha256);
  if (!is256 && measured.algorithm != static_cast<unsigned>(Algorithm::Sha512))
    throw ErrorToThrow{"ERR_CFS_VERITY_ALGORITHM", "fs-verity algorithm " + std::to_string(measured.algorithm) + " is not known here"};
  napi_value result;
  check(call.env(), napi_create_object(call.env(), &result));
  setProperty(call.env(), result, "algorithm", makeText(call.env(), is256 ? "sha256" : "sha512"));
  setProperty(call.env(), result, "digest", makeBytes(call.env(), {measured.bytes, measured.size}));
  return result;
}

class SyncJob : public Job {
 public:
  explicit SyncJob(Fd fd) : Job(1), fd_(std::move(fd)) {}
  void run(Worker&, size_t, size_t) override { error_ = ::syncfs(fd_.get()) == 0 ? 0 : errno; }
  void cancel(size_t, size_t) override { error_ = ECANCELED; }
  napi_value settle(napi_env env) override {
    if (error_ != 0) throw SystemProblem{error_, "syncfs"};
    return makeUndefined(env);
  }

 private:
  const Fd fd_;
  int error_ = 0;
};

napi_value syncfsCall(Call& call) {
  Fd fd(::fcntl(call.fd(0), F_DUPFD_CLOEXEC, 0));  // the caller may close its own meanwhile
  if (!fd.open()) throw SystemProblem{errno, "fcntl"};
  return commonPool(call.env()).submit(std::make_shared<SyncJob>(std::move(fd)));
}

enum class Lock { Shared, Exclusive, None };
Lock readLock(Call& call) {
  const std::string kind = call.text(1, "kind");
  if (kind == "sh") return Lock::Shared;
  if (kind == "ex") return Lock::Exclusive;
  if (kind == "un") return Lock::None;
  throw TypeProblem{"kind must be sh, ex or un"};
}

napi_value flockCall(Call& call) {
  const int fd = call.fd(0);
  const Lock lock = readLock(call);
  const int operation = lock == Lock::Shared ? LOCK_SH : lock == Lock::Exclusive ? LOCK_EX : LOCK_UN;
  int result;
  do result = ::flock(fd, operation | LOCK_NB);
  while (result != 0 && errno == EINTR);
  if (result != 0 && errno != EWOULDBLOCK) throw SystemProblem{errno, "flock"};
  return makeBoolean(call.env(), result == 0);
}

napi_value ofdLockCall(Call& call) {
  const int fd = call.fd(0);
  const Lock kind = readLock(call);
  struct flock whole = {};
  whole.l_type = static_cast<short>(kind == Lock::Shared ? F_RDLCK : kind == Lock::Exclusive ? F_WRLCK : F_UNLCK);
  whole.l_whence = SEEK_SET;
  const int result = ::fcntl(fd, F_OFD_SETLK, &whole);
  if (result != 0 && errno != EAGAIN && errno != EACCES) throw SystemProblem{errno, "fcntl"};
  return makeBoolean(call.env(), result == 0);
}

}  // namespace

void defineVerityCalls(napi_env env, napi_value exports) {
  const FunctionEntry functions[] = {{"enableVerity", entry<enableVerityCall>},
                                     {"measureVerity", entry<measureVerityCall>},
                                     {"syncfs", entry<syncfsCall>},
                                     {"flock", entry<flockCall>},
                                     {"ofdLock", entry<ofdLockCall>}};
  defineFunctions(env, exports, functions, std::size(functions));
}

}  // namespace cfs
