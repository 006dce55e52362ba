#include "local-attributes.h"

#include <sys/xattr.h>

#include <climits>

namespace cfs {

namespace {

constexpr char kOstreemeta[] = "user.ostreemeta";
/** XATTR_LIST_MAX and XATTR_SIZE_MAX. */
constexpr size_t kMostXattrBytes = 65536;
constexpr Verdict kBadForm{Status::LocalForm, Step::None, 0};

/** The l-variants take the path, the others the descriptor. */
struct XattrsOf {
  int fd;
  const char* path;
  ssize_t list(char* names, size_t room) const { return fd >= 0 ? ::flistxattr(fd, names, room) : ::llistxattr(path, names, room); }
  ssize_t get(const char* name, void* value, size_t room) const {
    return fd >= 0 ? ::fgetxattr(fd, name, value, room) : ::lgetxattr(path, name, value, room);
  }
};

/** Ascending, as a(ayay). Attributes without value do not count, as in ostree. */
Verdict readXattrs(const XattrsOf& file, OwnedBytes& serialized) {
  char few[512];
  std::string many;
  char* names = few;
  ssize_t bytes = file.list(few, sizeof few);
  if (bytes < 0 && errno == ERANGE) {
    many.resize(kMostXattrBytes);
    names = many.data();
    bytes = file.list(names, many.size());
  }
  if (bytes == 0 || (bytes < 0 && errno == EOPNOTSUPP)) return {};
  if (bytes < 0) return Verdict::system(Step::ReadXattrs, errno);
  std::vector<std::pair<std::string, std::string>> xattrs;
  std::string value(kMostXattrBytes, '\0');
  for (const char* name = names; name < names + bytes; name += std::strlen(name) + 1) {
    const ssize_t size = file.get(name, value.data(), value.size());
    if (size < 0 && errno == ENODATA) return {Status::LocalChanged, Step::None, 0};
    if (size < 0) return Verdict::system(Step::ReadXattrs, errno);
    if (size > 0) xattrs.emplace_back(name, value.substr(0, static_cast<size_t>(size)));
  }
  serialized = serializeXattrs(xattrs);
  return checkXattrArray({serialized.data(), serialized.size()});
}

/** `.file-xattrs-link`: the bare a(ayay). */
Verdict readXattrsFile(const std::string& path, OwnedBytes& serialized) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file.open()) return Verdict::system(Step::ReadXattrs, errno);
  struct stat facts;
  if (::fstat(file.get(), &facts) != 0) return Verdict::system(Step::ReadXattrs, errno);
  if (!S_ISREG(facts.st_mode)) return kBadForm;
  if (static_cast<uint64_t>(facts.st_size) > kMaxHeaderBytes) return {Status::Xattrs, Step::None, 0};
  serialized.resize(static_cast<size_t>(facts.st_size));
  size_t got = 0;
  if (const int error = readUpTo(file.get(), serialized.data(), serialized.size(), got)) return Verdict::system(Step::ReadXattrs, error);
  if (got != serialized.size()) return {Status::LocalChanged, Step::None, 0};
  return checkXattrArray({serialized.data(), serialized.size()});
}

Verdict xattrsByMode(const LocalPlan& plan, const XattrsOf& file, const std::string& xattrsPath, LocalHeader& result) {
  Verdict verdict;
  if (plan.mode == LocalMode::Bare && !plan.ignoreXattrs) verdict = readXattrs(file, result.xattrs);
  if (plan.mode == LocalMode::BareSplitXattrs) verdict = readXattrsFile(xattrsPath, result.xattrs);
  result.header.xattrs = {result.xattrs.data(), result.xattrs.size()};
  return verdict;
}

void ownerAndMode(const LocalPlan& plan, const struct stat& facts, FileHeader& header) {
  header.mode = facts.st_mode;
  if (plan.mode == LocalMode::BareUserOnly) return;  // keeps neither owner: both count as 0
  header.uid = facts.st_uid;
  header.gid = facts.st_gid;
}

Verdict setTarget(LocalHeader& result) {
  const Span target = {reinterpret_cast<const uint8_t*>(result.target.data()), result.target.size()};
  if (target.size == 0 || target.size > kMaxTargetBytes || !isUtf8(target)) return {Status::Target, Step::None, 0};
  result.header.target = target;
  return {};
}

/** bare-user: the true header is in an attribute, and a symlink is a file that holds its target and one NUL. */
Verdict readOstreemeta(const SourceFile& source, LocalHeader& result) {
  OwnedBytes stored(kMostXattrBytes);
  const ssize_t size = ::fgetxattr(source.fd.get(), kOstreemeta, stored.data(), stored.size());
  if (size < 0) return errno == ENODATA || errno == EOPNOTSUPP ? kBadForm : Verdict::system(Step::ReadXattrs, errno);
  Verdict verdict = parseOstreemeta({stored.data(), static_cast<size_t>(size)}, result.header);
  // older writers kept any order here, but hashed them in ascending order
  if (!verdict.refused()) verdict = sortXattrArray(result.header.xattrs, result.xattrs);
  if (verdict.refused()) return verdict;
  result.header.xattrs = {result.xattrs.data(), result.xattrs.size()};
  if (!result.header.isSymlink()) return {};

  char text[kMaxTargetBytes + 2];
  size_t got = 0;
  if (const int error = readUpTo(source.fd.get(), reinterpret_cast<uint8_t*>(text), sizeof text, got))
    return Verdict::system(Step::ReadSource, error);
  if (got == 0 || std::memchr(text, 0, got) != text + got - 1) return kBadForm;
  result.target.assign(text, got - 1);
  return setTarget(result);
}

}  // namespace

Verdict readSymlinkHeader(const LocalPlan& plan, const std::string& path, const std::string& xattrsPath, LocalHeader& result) {
  struct stat facts;
  if (::lstat(path.c_str(), &facts) != 0) return Verdict::system(Step::OpenSource, errno);
  if (!S_ISLNK(facts.st_mode)) return {Status::LocalChanged, Step::None, 0};
  char target[PATH_MAX];
  const ssize_t bytes = ::readlink(path.c_str(), target, sizeof target);
  if (bytes < 0) return Verdict::system(Step::ReadSource, errno);
  result.target.assign(target, static_cast<size_t>(bytes));
  ownerAndMode(plan, facts, result.header);
  const Verdict verdict = xattrsByMode(plan, {-1, path.c_str()}, xattrsPath, result);
  return verdict.refused() ? verdict : setTarget(result);
}

Verdict readFileHeader(const LocalPlan& plan, const SourceFile& source, const std::string& xattrsPath, LocalHeader& result) {
  if (plan.mode == LocalMode::BareUser) return readOstreemeta(source, result);
  ownerAndMode(plan, source.before, result.header);
  return xattrsByMode(plan, {source.fd.get(), nullptr}, xattrsPath, result);
}

}  // namespace cfs
