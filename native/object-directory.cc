#include "object-directory.h"

#include <sys/random.h>

#include <memory>

#include "fs-verity.h"

namespace cfs {

namespace {

constexpr mode_t kObjectMode = 0644;
constexpr mode_t kDirectoryMode = 0755;
constexpr int kNameAttempts = 16;
/** An object that comes and goes while we look means that somebody else deletes objects under a shared lock. */
constexpr int kLinkAttempts = 3;
constexpr size_t kReadChunk = 128 * 1024;

Verdict good(Status status) { return {status, Step::None, 0}; }

/** A block that cannot be read is as good as a wrong one. */
Verdict unreadable(int error) { return error == EIO ? good(Status::DamagedObject) : Verdict::system(Step::ReadExisting, error); }

/** Whether the file holds just these bytes. */
Verdict compareContent(int fd, Span content) {
  const auto chunk = std::make_unique<uint8_t[]>(kReadChunk);
  while (content.size != 0) {
    const size_t want = content.size < kReadChunk ? content.size : kReadChunk;
    size_t got = 0;
    if (const int error = readUpTo(fd, chunk.get(), want, got)) return unreadable(error);
    if (got != want || std::memcmp(chunk.get(), content.data, want) != 0) return good(Status::DamagedObject);
    content = content.from(want);
  }
  return good(Status::Present);
}

Verdict compareDigest(int fd, const uint8_t* id, MessageHasher& hasher) {
  const auto chunk = std::make_unique<uint8_t[]>(kReadChunk);
  VerityStream verity(hasher.algorithm());
  for (;;) {
    size_t got = 0;
    if (const int error = readUpTo(fd, chunk.get(), kReadChunk, got)) return unreadable(error);
    verity.update(hasher, {chunk.get(), got});
    if (got < kReadChunk) break;
  }
  uint8_t digest[kMaxDigestBytes];
  verity.finish(hasher, digest);
  return good(std::memcmp(digest, id, digestBytes(hasher.algorithm())) == 0 ? Status::Present : Status::DamagedObject);
}

}  // namespace

Temporary& Temporary::operator=(Temporary&& other) noexcept {
  if (this != &other) {
    discard();
    fd_ = std::move(other.fd_);
    directory_ = std::move(other.directory_);
    name_.swap(other.name_);
  }
  return *this;
}

void Temporary::discard() {
  if (!name_.empty()) ::unlinkat(directory_->get(), name_.c_str(), 0);
  name_.clear();
  fd_.reset();
}

ObjectPath::ObjectPath(Algorithm algorithm, const uint8_t* id) : firstByte(id[0]) {
  static constexpr char kDigits[] = "0123456789abcdef";
  char* to = text;
  for (size_t i = 0; i < digestBytes(algorithm); i++) {
    *to++ = kDigits[id[i] >> 4];
    *to++ = kDigits[id[i] & 15];
    if (i == 0) *to++ = '/';
  }
  *to = '\0';
}

ObjectDirectory::ObjectDirectory(Fd fd, const ObjectDirectoryOptions& options)
    : fd_(std::make_shared<const Fd>(std::move(fd))), options_(options), named_(options.namedTemporaries) {
  struct stat facts;
  if (::fstat(directory(), &facts) == 0) device_ = facts.st_dev;
}

Verdict ObjectDirectory::createTemporary(Temporary& temporary, const ObjectPath* place) {
  temporary.discard();
  if (!named_.load(std::memory_order_relaxed)) {
    Verdict created = createUnnamed(temporary, place == nullptr ? "." : place->subdirectory().text);
    if (place != nullptr && created.error == ENOENT) {
      const Verdict made = makeSubdirectory(*place);
      if (made.refused()) return made;
      created = createUnnamed(temporary, place->subdirectory().text);
    }
    // EISDIR: a kernel that reads the flag as O_DIRECTORY
    if (created.error != EOPNOTSUPP && created.error != EISDIR) return created;
    named_.store(true, std::memory_order_relaxed);
  }
  return underTemporaryName(temporary, [&](const char* name) {
    temporary.fd_.reset(::openat(directory(), name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, kObjectMode));
    return temporary.exists() ? Verdict{} : Verdict::system(Step::CreateTemporary, errno);
  });
}

Verdict ObjectDirectory::createUnnamed(Temporary& temporary, const char* where) {
  temporary.fd_.reset(::openat(directory(), where, O_TMPFILE | O_RDWR | O_CLOEXEC, kObjectMode));
  return temporary.exists() ? Verdict{} : Verdict::system(Step::CreateTemporary, errno);
}

template <typename Attempt>
Verdict ObjectDirectory::underTemporaryName(Temporary& temporary, Attempt attempt) {
  static constexpr char kLetters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  Verdict made;
  for (int i = 0; i < kNameAttempts; i++) {
    uint8_t random[12];
    if (::getrandom(random, sizeof random, 0) != sizeof random) return Verdict::system(Step::CreateTemporary, errno);
    std::string name = ".tmp-object-";
    for (const uint8_t byte : random) name += kLetters[byte % (sizeof kLetters - 1)];
    made = attempt(name.c_str());
    if (made.error == EEXIST) continue;
    if (!made.refused()) {
      temporary.directory_ = fd_;
      temporary.name_ = std::move(name);
    }
    break;
  }
  return made;
}

Verdict ObjectDirectory::examine(const ObjectPath& path, const uint8_t* id, uint64_t size, const Span* content, MessageHasher& hasher) {
  struct stat facts;
  if (::fstatat(directory(), path.text, &facts, AT_SYMLINK_NOFOLLOW) != 0)
    return errno == ENOENT ? good(Status::New) : Verdict::system(Step::OpenExisting, errno);
  if (!S_ISREG(facts.st_mode)) return good(Status::DamagedObject);
  const Fd file(::openat(directory(), path.text, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file.open()) return errno == ENOENT ? good(Status::New) : Verdict::system(Step::OpenExisting, errno);
  if (::fstat(file.get(), &facts) != 0) return Verdict::system(Step::OpenExisting, errno);
  if (!S_ISREG(facts.st_mode) || static_cast<uint64_t>(facts.st_size) != size) return good(Status::DamagedObject);

  MeasuredDigest measured;
  const int error = measureVerity(file.get(), measured);
  if (error == 0) return good(measured.is(options_.algorithm, id) ? Status::Present : Status::DamagedObject);
  if (!meansNoVerity(error)) return Verdict::system(Step::MeasureVerity, error);
  if (options_.secure) return {Status::DamagedObject, Step::MeasureVerity, error};  // unprotected: what it holds may change
  return content != nullptr ? compareContent(file.get(), *content) : compareDigest(file.get(), id, hasher);
}

Verdict ObjectDirectory::store(const uint8_t* id, Span content, MessageHasher& hasher) {
  const ObjectPath path(options_.algorithm, id);
  if (!isNewSubdirectory(path.firstByte)) {  // a lookup is cheaper than a file that is not needed, but in an empty store nothing is found
    const Verdict existing = examine(path, id, content.size, &content, hasher);
    if (existing.status != Status::New && existing.status != Status::DamagedObject) return existing;
  }
  Temporary temporary;
  const Verdict created = createTemporary(temporary, &path);
  if (created.refused()) return created;
  if (const int error = writeAll(temporary.fd(), content)) return Verdict::system(Step::Write, error);
  return publish(temporary, id, content.size, &content, hasher);
}

/** Makes the file immutable, and lets the kernel confirm its digest. */
Verdict ObjectDirectory::seal(Temporary& temporary, const uint8_t* id) {
  const int reader = temporary.name_.empty()
                         ? ::open(ProcPath(temporary.fd()).text, O_RDONLY | O_CLOEXEC)
                         : ::openat(directory(), temporary.name_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (reader < 0) return Verdict::system(Step::Reopen, errno);
  temporary.fd_.reset(reader);  // closes the writer
  return sealReader(reader, id);
}

Verdict ObjectDirectory::sealReader(int reader, const uint8_t* id) {
  if (const int error = enableVerityPatiently(reader, options_.algorithm); error != 0 && error != EEXIST)  // on already: measured below
    return Verdict::system(Step::EnableVerity, error);
  MeasuredDigest measured;
  if (const int error = measureVerity(reader, measured)) return Verdict::system(Step::MeasureVerity, error);
  return measured.is(options_.algorithm, id) ? Verdict{} : good(Status::VerityDiffers);
}

Verdict ObjectDirectory::makeSubdirectory(const ObjectPath& path) {
  if (::mkdirat(directory(), path.subdirectory().text, kDirectoryMode) == 0) {
    newSubdirectories_[path.firstByte].store(true, std::memory_order_relaxed);
    return {};
  }
  return errno == EEXIST ? Verdict{} : Verdict::system(Step::MakeDirectory, errno);
}

Verdict ObjectDirectory::linkFd(int fd, const char* path) {
  if (emptyPathLinks_.load(std::memory_order_relaxed)) {
    if (::linkat(fd, "", directory(), path, AT_EMPTY_PATH) == 0) return {};
    if (errno != ENOENT) return Verdict::system(Step::Link, errno);
  }
  // ENOENT: no subdirectory yet, or no right to link this way (only newer kernels let unprivileged processes do so)
  const ProcPath source(fd);
  if (::linkat(AT_FDCWD, source.text, directory(), path, AT_SYMLINK_FOLLOW) != 0) return Verdict::system(Step::Link, errno);
  emptyPathLinks_.store(false, std::memory_order_relaxed);
  return {};
}

Verdict ObjectDirectory::rename(Temporary& temporary, const ObjectPath& path) {
  int error = renameNoReplace(directory(), temporary.name_.c_str(), directory(), path.text);
  if (error == 0) {
    temporary.name_.clear();
    return {};
  }
  if (error == EINVAL || error == ENOSYS) {  // a file system without RENAME_NOREPLACE
    error = ::linkat(directory(), temporary.name_.c_str(), directory(), path.text, 0) == 0 ? 0 : errno;
    if (error == 0) return {};  // the temporary name goes when the temporary does
  }
  return Verdict::system(Step::Link, error);
}

Verdict ObjectDirectory::replaceDamaged(int file, Temporary& temporary, const ObjectPath& path) {
  if (temporary.name_.empty()) {
    const Verdict named = underTemporaryName(temporary, [&](const char* name) { return linkFd(file, name); });
    if (named.refused()) return named;
  }
  // The temporary keeps its name, which is gone, except where both were names of one file: then the rename does nothing.
  if (::renameat(directory(), temporary.name_.c_str(), directory(), path.text) == 0) return good(Status::New);
  return errno == EISDIR ? good(Status::DamagedObject) : Verdict::system(Step::Link, errno);
}

template <typename Attempt, typename Replace>
Verdict ObjectDirectory::nameIt(const ObjectPath& path, const uint8_t* id, uint64_t size, const Span* content, MessageHasher& hasher,
                                Attempt attempt, Replace replace) {
  bool madeDirectory = false;
  for (int i = 0; i < kLinkAttempts; i++) {
    Verdict linked = attempt();
    if (linked.error == ENOENT && !madeDirectory) {
      const Verdict made = makeSubdirectory(path);
      if (made.refused()) return made;
      madeDirectory = true;
      linked = attempt();
    }
    if (!linked.refused()) return good(Status::New);
    if (linked.error != EEXIST) return linked;
    const Verdict existing = examine(path, id, size, content, hasher);
    if (existing.status == Status::DamagedObject) return replace();
    if (existing.status != Status::New) return existing;
  }
  return Verdict::system(Step::Link, EEXIST);
}

Verdict ObjectDirectory::publish(Temporary& temporary, const uint8_t* id, uint64_t size, const Span* content, MessageHasher& hasher) {
  if (options_.secure) {
    const Verdict sealed = seal(temporary, id);
    if (sealed.refused()) return sealed;
  }
  const ObjectPath path(options_.algorithm, id);
  return nameIt(
      path, id, size, content, hasher,
      [&] { return temporary.name_.empty() ? linkFd(temporary.fd(), path.text) : rename(temporary, path); },
      [&] { return replaceDamaged(temporary.fd(), temporary, path); });
}

Verdict ObjectDirectory::publishHardLink(int source, const uint8_t* id, uint64_t size, const Span* content, MessageHasher& hasher) {
  if (options_.secure) {
    const Verdict sealed = sealReader(source, id);
    if (sealed.refused()) return sealed;
  }
  const ObjectPath path(options_.algorithm, id);
  Temporary further;
  return nameIt(
      path, id, size, content, hasher, [&] { return linkFd(source, path.text); },
      [&] { return replaceDamaged(source, further, path); });
}

}  // namespace cfs
