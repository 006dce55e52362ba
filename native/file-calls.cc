// Unnamed files, names, clones, extended attributes, facts about file systems.
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#include "addon.h"
#include "js.h"
#include "system.h"

namespace cfs {

namespace {

napi_value openTmpfile(Call& call) {
  const int fd = ::open(call.path(0).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, call.number(1, "mode"));
  if (fd < 0) throw SystemProblem{errno, "open"};
  return makeNumber(call.env(), fd);
}

napi_value linkFdCall(Call& call) {
  const ProcPath source(call.fd(0));
  if (::linkat(AT_FDCWD, source.text, AT_FDCWD, call.path(1).c_str(), AT_SYMLINK_FOLLOW) != 0) throw SystemProblem{errno, "linkat"};
  return makeUndefined(call.env());
}

napi_value renameNoReplaceCall(Call& call) {
  const int error = renameNoReplace(AT_FDCWD, call.path(0).c_str(), AT_FDCWD, call.path(1).c_str());
  if (error != 0) throw SystemProblem{error, "renameat2"};
  return makeUndefined(call.env());
}

napi_value reflink(Call& call) {
  const int error = cloneFile(call.fd(0), call.fd(1));
  if (error != 0 && !meansNoClone(error)) throw SystemProblem{error, "FICLONE"};
  return makeBoolean(call.env(), error == 0);
}

/** A descriptor, or a path with or without following its last symlink. */
struct XattrTarget {
  XattrTarget(Call& call, bool follow) : follow_(follow) {
    if (follow && call.isNumber(0))
      fd_ = call.fd(0);
    else
      path_ = call.path(0);
  }
  ssize_t get(const char* name, void* value, size_t room) const {
    if (fd_ >= 0) return ::fgetxattr(fd_, name, value, room);
    return follow_ ? ::getxattr(path_.c_str(), name, value, room) : ::lgetxattr(path_.c_str(), name, value, room);
  }
  int set(const char* name, Span value) const {
    if (fd_ >= 0) return ::fsetxattr(fd_, name, value.data, value.size, 0);
    return follow_ ? ::setxattr(path_.c_str(), name, value.data, value.size, 0)
                   : ::lsetxattr(path_.c_str(), name, value.data, value.size, 0);
  }
  ssize_t list(char* names, size_t room) const {
    if (fd_ >= 0) return ::flistxattr(fd_, names, room);
    return follow_ ? ::listxattr(path_.c_str(), names, room) : ::llistxattr(path_.c_str(), names, room);
  }

 private:
  bool follow_;
  int fd_ = -1;
  std::string path_;
};

/** XATTR_SIZE_MAX and XATTR_LIST_MAX: no value and no list is longer. */
constexpr size_t kMostXattrBytes = 65536;

template <bool follow>
napi_value getXattr(Call& call) {
  const XattrTarget target(call, follow);
  const std::string name = readByteString(call.env(), call.value(1), "name");
  std::vector<uint8_t> value(kMostXattrBytes);
  const ssize_t size = target.get(name.c_str(), value.data(), value.size());
  if (size < 0 && errno == ENODATA) return makeNull(call.env());
  if (size < 0) throw SystemProblem{errno, follow ? "getxattr" : "lgetxattr"};
  return makeBytes(call.env(), {value.data(), static_cast<size_t>(size)});
}

template <bool follow>
napi_value setXattr(Call& call) {
  const XattrTarget target(call, follow);
  const std::string name = readByteString(call.env(), call.value(1), "name");
  if (target.set(name.c_str(), call.bytes(2, "value")) != 0) throw SystemProblem{errno, follow ? "setxattr" : "lsetxattr"};
  return makeUndefined(call.env());
}

template <bool follow>
napi_value listXattrs(Call& call) {
  const XattrTarget target(call, follow);
  std::string names(kMostXattrBytes, '\0');
  const ssize_t bytes = target.list(names.data(), names.size());
  if (bytes < 0) throw SystemProblem{errno, follow ? "listxattr" : "llistxattr"};
  napi_value result;
  check(call.env(), napi_create_array(call.env(), &result));
  uint32_t count = 0;
  for (const char* name = names.data(); name < names.data() + bytes; name += std::strlen(name) + 1)
    check(call.env(), napi_set_element(call.env(), result, count++, makeByteString(call.env(), name)));
  return result;
}

napi_value fileSystem(Call& call) {
  struct statfs type;
  struct statvfs facts;
  if (call.isNumber(0)) {
    const int fd = call.fd(0);
    if (::fstatfs(fd, &type) != 0 || ::fstatvfs(fd, &facts) != 0) throw SystemProblem{errno, "statfs"};
  } else {
    const std::string path = call.path(0);
    if (::statfs(path.c_str(), &type) != 0 || ::statvfs(path.c_str(), &facts) != 0) throw SystemProblem{errno, "statfs"};
  }
  napi_value result;
  check(call.env(), napi_create_object(call.env(), &result));
  setProperty(call.env(), result, "magic", makeNumber(call.env(), static_cast<uint32_t>(type.f_type)));
  setProperty(call.env(), result, "freeBytes", makeNumber(call.env(), static_cast<double>(facts.f_bavail) * static_cast<double>(facts.f_frsize)));
  setProperty(call.env(), result, "readOnly", makeBoolean(call.env(), (facts.f_flag & ST_RDONLY) != 0));
  return result;
}

}  // namespace

void defineFileCalls(napi_env env, napi_value exports) {
  const FunctionEntry functions[] = {
      {"openTmpfile", entry<openTmpfile>},      {"linkFd", entry<linkFdCall>},         {"renameNoReplace", entry<renameNoReplaceCall>},
      {"reflink", entry<reflink>},              {"getxattr", entry<getXattr<true>>},   {"lgetxattr", entry<getXattr<false>>},
      {"setxattr", entry<setXattr<true>>},      {"lsetxattr", entry<setXattr<false>>}, {"listxattr", entry<listXattrs<true>>},
      {"llistxattr", entry<listXattrs<false>>}, {"fileSystem", entry<fileSystem>}};
  defineFunctions(env, exports, functions, std::size(functions));
}

}  // namespace cfs
