#include "staged-object.h"

#include <sys/xattr.h>

namespace cfs {

namespace {

/** Content up to this is compressed in one piece. */
constexpr size_t kWholeDeflateMax = 8 * 1024 * 1024;
constexpr mode_t kStagedMode = 0644;
constexpr mode_t kHiddenMode = 0600;
constexpr mode_t kDirectoryMode = 0777;
/** chown takes this for "leave it as it is". */
constexpr uint32_t kNoOwner = 0xffffffff;
constexpr char kOstreemeta[] = "user.ostreemeta";
/** Content that ostree writes has the time 0. */
constexpr timespec kObjectTimes[2] = {{0, 0}, {0, 0}};

const char* suffixOf(LocalMode mode, StagedKind kind) {
  switch (kind) {
    case StagedKind::Dirtree: return ".dirtree";
    case StagedKind::Dirmeta: return ".dirmeta";
    case StagedKind::Commit: return ".commit";
    default: return mode == LocalMode::Archive ? ".filez" : ".file";
  }
}

/** Name in the target, `xx/yyyy….suffix`, and in the staging directory. */
struct ObjectNames {
  std::string place, staged;
  ObjectNames(LocalMode mode, StagedKind kind, const uint8_t* checksum)
      : place(std::string(ObjectPath(Algorithm::Sha256, checksum).text) + suffixOf(mode, kind)), staged(place) {
    if (kind == StagedKind::Commit) staged.erase(2, 1);
  }
};

/** @return 0 or errno */
int makeSubdirectory(int directory, const uint8_t* checksum) {
  const ObjectPath path(Algorithm::Sha256, checksum);
  return ::mkdirat(directory, path.subdirectory().text, kDirectoryMode) == 0 || errno == EEXIST ? 0 : errno;
}

/** What a mode cannot hold. */
bool canHold(LocalMode mode, const FileHeader& header) {
  if (mode == LocalMode::Bare) return header.uid != kNoOwner && header.gid != kNoOwner;
  if (mode != LocalMode::BareUserOnly) return true;
  return header.uid == 0 && header.gid == 0 && header.xattrs.size == 0 && (header.isSymlink() || (header.mode & 07777 & ~0775u) == 0);
}

/** One object being written. It is gone again unless keep() was called. */
class StagedFile {
 public:
  StagedFile(IngestWorker& worker, const StagingPlace& place, StagedObject& object, const std::string& name)
      : worker_(worker), place_(place), object_(object), name_(name) {}
  ~StagedFile() {
    if (made_) ::unlinkat(place_.staging, name_.c_str(), 0);
  }
  void keep() { made_ = false; }

  bool metadata() {
    uint8_t found[kSha256Bytes];
    worker_.sha256.hash(object_.data, found);
    object_.bytes = object_.data.size;
    return isRight(found) && create(kStagedMode) && writeAll(fd_.get(), object_.data) == 0;
  }

  bool file() {
    size_t headerBytes = 0;
    if (parsePrefix(object_.data, headerBytes).refused() ||
        parseArchiveVariant(object_.data.slice(kHeaderPrefix, headerBytes), header_).refused() || !canHold(place_.mode, header_))
      return false;
    headerBytes_ = object_.data.slice(0, headerBytes);
    const Span rest = object_.data.from(headerBytes);
    serializeContentHeader(header_, worker_.contentHeader);
    worker_.sha256.start();
    worker_.sha256.update({worker_.contentHeader.data(), worker_.contentHeader.size()});
    if (header_.isSymlink()) return object_.kind == StagedKind::InlineFile && rest.size == 0 && symlink();
    if (object_.kind == StagedKind::InlineFile) return rest.size == header_.size && wholeContent(rest);
    return rest.size == 0 && header_.size != 0 && externalContent();
  }

 private:
  bool isRight(const uint8_t* found) const { return std::memcmp(found, object_.checksum, kSha256Bytes) == 0; }

  bool hasRightChecksum() {
    uint8_t found[kSha256Bytes];
    worker_.sha256.finish(found);
    return isRight(found);
  }

  bool create(mode_t mode) {
    return make([&] {
      fd_.reset(::openat(place_.staging, name_.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, mode));
      return fd_.open();
    });
  }

  /** The first one of a subdirectory makes that too. */
  template <typename Attempt>
  bool make(Attempt attempt) {
    made_ = attempt();
    if (!made_ && errno == ENOENT && makeSubdirectory(place_.staging, object_.checksum) == 0) made_ = attempt();
    return made_;
  }

  bool symlink() {
    if (!hasRightChecksum()) return false;
    const std::string target(reinterpret_cast<const char*>(header_.target.data), header_.target.size);
    if (place_.mode == LocalMode::Archive) return create(kStagedMode) && writeArchive();
    object_.bytes = target.size();
    if (place_.mode == LocalMode::BareUser)
      return create(kStagedMode) && writeAll(fd_.get(), {reinterpret_cast<const uint8_t*>(target.c_str()), target.size() + 1}) == 0 &&
             setOstreemeta() && ::futimens(fd_.get(), kObjectTimes) == 0;
    if (!make([&] { return ::symlinkat(target.c_str(), place_.staging, name_.c_str()) == 0; })) return false;
    if (place_.mode == LocalMode::BareUserOnly) return true;
    if (::fchownat(place_.staging, name_.c_str(), header_.uid, header_.gid, AT_SYMLINK_NOFOLLOW) != 0) return false;
    if (header_.xattrs.size == 0) return true;
    const std::string path = ProcPath(place_.staging).text + ('/' + name_);
    return eachXattr([&](const std::string& name, const std::string& value) {
      return ::lsetxattr(path.c_str(), name.c_str(), value.data(), value.size(), 0) == 0;
    });
  }

  /** All of the content in memory: checked before anything is made. */
  bool wholeContent(Span content) {
    worker_.sha256.update(content);
    if (!hasRightChecksum()) return false;
    if (place_.mode == LocalMode::Archive) {
      compressed_.assign(headerBytes_.data, headerBytes_.data + headerBytes_.size);
      worker_.deflater.deflateWhole(content, compressed_);
      return create(kStagedMode) && writeCompressed();
    }
    object_.bytes = content.size;
    return create(kHiddenMode) && writeAll(fd_.get(), content) == 0 && finishBare();
  }

  bool externalContent() {
    const ObjectPath path(place_.algorithm, object_.id);
    const Fd source(::openat(place_.objects, path.text, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    struct stat facts;
    if (!source.open() || ::fstat(source.get(), &facts) != 0 || !S_ISREG(facts.st_mode)) return false;
    if (static_cast<uint64_t>(facts.st_size) != header_.size) return false;
    const auto size = static_cast<size_t>(header_.size);
    size_t got = 0;
    if (size <= kSmallContentMax)
      return readWhole(source.get(), worker_.arena(), size, got) == 0 && got == size && wholeContent({worker_.arena(), size});
    if (place_.mode != LocalMode::Archive || size > kWholeDeflateMax) return largeContent(source.get());
    const auto content = std::make_unique<uint8_t[]>(size + 1);
    return readWhole(source.get(), content.get(), size, got) == 0 && got == size && wholeContent({content.get(), size});
  }

  /** A window at a time. */
  bool largeContent(int source) {
    const bool isArchive = place_.mode == LocalMode::Archive;
    if (!create(isArchive ? kStagedMode : kHiddenMode)) return false;
    if (isArchive) {
      compressed_.assign(headerBytes_.data, headerBytes_.data + headerBytes_.size);
      worker_.deflater.start();
    }
    for (bool last = false; !last;) {
      size_t got = 0;
      if (readUpTo(source, worker_.window(), kWindowBytes, got) != 0) return false;
      last = got < kWindowBytes;
      const Span piece = {worker_.window(), got};
      worker_.sha256.update(piece);
      if (isArchive) worker_.deflater.run(piece, last, compressed_);
      if (isArchive ? !writeCompressed() : writeAll(fd_.get(), piece) != 0) return false;
      if (!isArchive) object_.bytes += got;
    }
    return hasRightChecksum() && (isArchive || finishBare());
  }

  bool writeArchive() {
    compressed_.assign(headerBytes_.data, headerBytes_.data + headerBytes_.size);
    return writeCompressed();
  }

  bool writeCompressed() {
    const bool written = writeAll(fd_.get(), {compressed_.data(), compressed_.size()}) == 0;
    object_.bytes += compressed_.size();
    compressed_.clear();
    return written;
  }

  /** Owner, attributes and permissions of a regular file. */
  bool finishBare() {
    const int fd = fd_.get();
    mode_t permissions = header_.mode & 0775;
    if (place_.mode == LocalMode::Bare) {
      permissions = header_.mode & 07777;  // last: chown clears the set-id bits
      if (::fchown(fd, header_.uid, header_.gid) != 0) return false;
      if (!eachXattr([&](const std::string& name, const std::string& value) {
            return ::fsetxattr(fd, name.c_str(), value.data(), value.size(), 0) == 0;
          }))
        return false;
    } else if (place_.mode == LocalMode::BareUser) {
      permissions |= 0400;
      if (!setOstreemeta()) return false;
    }
    return ::fchmod(fd, permissions) == 0 && ::futimens(fd, kObjectTimes) == 0;
  }

  /** (uuua(ayay)), big-endian. */
  bool setOstreemeta() {
    OwnedBytes value(12);
    writeBigEndian32(value.data(), header_.uid);
    writeBigEndian32(value.data() + 4, header_.gid);
    writeBigEndian32(value.data() + 8, header_.mode);
    value.insert(value.end(), header_.xattrs.data, header_.xattrs.data + header_.xattrs.size);
    return ::fsetxattr(fd_.get(), kOstreemeta, value.data(), value.size(), 0) == 0;
  }

  template <typename Set>
  bool eachXattr(Set set) {
    Xattrs xattrs;
    if (header_.xattrs.size == 0) return true;
    if (listXattrs(header_.xattrs, xattrs).refused()) return false;
    for (const auto& [name, value] : xattrs)
      if (!set(name, value)) return false;
    return true;
  }

  IngestWorker& worker_;
  const StagingPlace& place_;
  StagedObject& object_;
  const std::string& name_;
  FileHeader header_;
  Span headerBytes_;
  OwnedBytes compressed_;
  Fd fd_;
  bool made_ = false;
};

bool isFile(StagedKind kind) { return kind == StagedKind::InlineFile || kind == StagedKind::ExternalFile; }

}  // namespace

void stageObject(IngestWorker& worker, const StagingPlace& place, StagedObject& object) {
  const ObjectNames names(place.mode, object.kind, object.checksum);
  struct stat facts;
  if (::fstatat(place.target, names.place.c_str(), &facts, AT_SYMLINK_NOFOLLOW) == 0) {
    object.result = Staged::Present;
    return;
  }
  if (errno != ENOENT) return;
  StagedFile file(worker, place, object, names.staged);
  if (!(isFile(object.kind) ? file.file() : file.metadata())) return;
  file.keep();
  object.result = Staged::Written;
}

bool publishSubdirectory(const StagingPlace& place, uint8_t firstByte) {
  const uint8_t checksum[kSha256Bytes] = {firstByte};
  const ObjectPath::Subdirectory name = ObjectPath(Algorithm::Sha256, checksum).subdirectory();
  return renameNoReplace(place.staging, name.text, place.target, name.text) == 0;
}

int makeObjectDirectory(const StagingPlace& place, const uint8_t* checksum) { return makeSubdirectory(place.target, checksum); }

int publishStaged(const StagingPlace& place, StagedKind kind, const uint8_t* checksum) {
  const ObjectNames names(place.mode, kind, checksum);
  int error = renameNoReplace(place.staging, names.staged.c_str(), place.target, names.place.c_str());
  if (error == EINVAL || error == ENOSYS) {  // a file system without RENAME_NOREPLACE
    error = ::linkat(place.staging, names.staged.c_str(), place.target, names.place.c_str(), 0) == 0 ? EEXIST : errno;
  }
  if (error != EEXIST) return error;
  // it has its second name now, or somebody else brought the same content meanwhile
  return ::unlinkat(place.staging, names.staged.c_str(), 0) == 0 ? 0 : errno;
}

}  // namespace cfs
