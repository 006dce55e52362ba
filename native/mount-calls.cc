// The mount interface of Linux 5.2 and later, and read-only loop devices. The C library of Debian 12 has no wrappers for it.
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "addon.h"
#include "js.h"
#include "system.h"

namespace cfs {

namespace {

// the same numbers on all architectures
constexpr long kMoveMount = 429, kFsopen = 430, kFsconfig = 431, kFsmount = 432, kMountSetattr = 442;
constexpr unsigned kFsopenCloexec = 1, kFsmountCloexec = 1, kMoveMountFromEmptyPath = 4;
constexpr unsigned kSetFlag = 0, kSetString = 1, kSetFd = 5, kCreate = 6;

/** `struct mount_attr`. */
struct MountAttr {
  uint64_t set = 0, clear = 0, propagation = 0, userNamespaceFd = 0;
};

napi_value done(Call& call, long result, const char* name) {
  if (result < 0) throw SystemProblem{errno, name};
  return makeUndefined(call.env());
}

napi_value descriptor(Call& call, long result, const char* name) {
  if (result < 0) throw SystemProblem{errno, name};
  return makeNumber(call.env(), static_cast<double>(result));
}

napi_value fsopen(Call& call) { return descriptor(call, ::syscall(kFsopen, call.text(0, "type").c_str(), kFsopenCloexec), "fsopen"); }

napi_value fsconfigFlag(Call& call) {
  return done(call, ::syscall(kFsconfig, call.fd(0), kSetFlag, call.text(1, "key").c_str(), nullptr, 0), "fsconfig");
}

napi_value fsconfigString(Call& call) {
  const std::string key = call.text(1, "key"), value = call.path(2);
  return done(call, ::syscall(kFsconfig, call.fd(0), kSetString, key.c_str(), value.c_str(), 0), "fsconfig");
}

napi_value fsconfigFd(Call& call) {
  return done(call, ::syscall(kFsconfig, call.fd(0), kSetFd, call.text(1, "key").c_str(), nullptr, call.fd(2)), "fsconfig");
}

napi_value fsconfigCreate(Call& call) {
  return done(call, ::syscall(kFsconfig, call.fd(0), kCreate, nullptr, nullptr, 0), "fsconfig");
}

napi_value fsMessages(Call& call) {
  const int fd = call.fd(0);
  napi_value result;
  check(call.env(), napi_create_array(call.env(), &result));
  char message[4096];
  for (uint32_t count = 0;; count++) {
    const ssize_t size = ::read(fd, message, sizeof message);  // one message per read; ENODATA: no more
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno != ENODATA) throw SystemProblem{errno, "read"};
    if (size <= 0) return result;
    std::string text(message, static_cast<size_t>(size));
    while (!text.empty() && text.back() == '\n') text.pop_back();
    check(call.env(), napi_set_element(call.env(), result, count, makeText(call.env(), text)));
  }
}

napi_value fsmount(Call& call) {
  return descriptor(call, ::syscall(kFsmount, call.fd(0), kFsmountCloexec, call.number(1, "attributes")), "fsmount");
}

napi_value moveMount(Call& call) {
  return done(call, ::syscall(kMoveMount, call.fd(0), "", AT_FDCWD, call.path(1).c_str(), kMoveMountFromEmptyPath), "move_mount");
}

napi_value mountSetattr(Call& call) {
  napi_env env = call.env();
  const auto read = [&](const char* name) -> uint64_t {
    napi_value value = property(env, call.value(1), name);
    uint32_t number = 0;
    if (!isUndefined(env, value) && napi_get_value_uint32(env, value, &number) != napi_ok)
      throw TypeProblem{std::string(name) + " must be a number"};
    return number;
  };
  const MountAttr attributes = {read("set"), read("clear"), 0, read("userNamespaceFd")};
  return done(call, ::syscall(kMountSetattr, call.fd(0), "", AT_EMPTY_PATH, &attributes, sizeof attributes), "mount_setattr");
}

napi_value umountCall(Call& call) {
  return done(call, ::umount2(call.path(0).c_str(), static_cast<int>(call.number(1, "flags"))), "umount2");
}

/** `struct loop_config` of linux/loop.h, which older headers lack. */
struct LoopConfig {
  uint32_t fd;
  uint32_t blockSize;
  loop_info64 info;
  uint64_t reserved[8];
};
constexpr unsigned long kLoopConfigure = 0x4c0a;
constexpr uint32_t kLoopReadOnly = 1, kLoopAutoclear = 4, kLoopDirectIo = 16;

napi_value attachLoopDevice(Call& call) {
  const int backing = call.fd(0);
  const Fd control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  if (!control.open()) throw SystemProblem{errno, "open"};
  constexpr int kAttempts = 16;  // somebody else may take the free device first
  for (int attempt = 0;; attempt++) {
    const int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0) throw SystemProblem{errno, "LOOP_CTL_GET_FREE"};
    const std::string path = "/dev/loop" + std::to_string(number);
    Fd device(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!device.open()) throw SystemProblem{errno, "open"};
    LoopConfig config = {};
    config.fd = static_cast<uint32_t>(backing);
    config.blockSize = 4096;
    config.info.lo_flags = kLoopReadOnly | kLoopAutoclear | kLoopDirectIo;
    int result = ::ioctl(device.get(), kLoopConfigure, &config);
    if (result != 0 && errno == EINVAL) {  // a file system without direct I/O
      config.info.lo_flags = kLoopReadOnly | kLoopAutoclear;
      result = ::ioctl(device.get(), kLoopConfigure, &config);
    }
    if (result != 0 && (errno != EBUSY || attempt == kAttempts)) throw SystemProblem{errno, "LOOP_CONFIGURE"};
    if (result != 0) continue;
    napi_value object;
    check(call.env(), napi_create_object(call.env(), &object));
    setProperty(call.env(), object, "path", makeText(call.env(), path));
    setProperty(call.env(), object, "fd", makeNumber(call.env(), device.release()));
    return object;
  }
}

}  // namespace

void defineMountCalls(napi_env env, napi_value exports) {
  const FunctionEntry functions[] = {
      {"fsopen", entry<fsopen>},         {"fsconfigFlag", entry<fsconfigFlag>},     {"fsconfigString", entry<fsconfigString>},
      {"fsconfigFd", entry<fsconfigFd>}, {"fsconfigCreate", entry<fsconfigCreate>}, {"fsMessages", entry<fsMessages>},
      {"fsmount", entry<fsmount>},       {"moveMount", entry<moveMount>},           {"mountSetattr", entry<mountSetattr>},
      {"umount", entry<umountCall>},     {"attachLoopDevice", entry<attachLoopDevice>}};
  defineFunctions(env, exports, functions, std::size(functions));
}

}  // namespace cfs
