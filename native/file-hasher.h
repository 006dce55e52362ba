// Hashing files of one share of rows: fs-verity digests, and ostree checksums from the same read.
#pragma once

#include "addon.h"
#include "file-windows.h"

namespace cfs {

struct HashedFile {
  int error = 0;
  uint64_t size = 0;
  uint8_t digest[kMaxDigestBytes] = {};
  /** 0: the file has no fs-verity; else compared with `digest` at the end. */
  bool hasVerity = false;
  MeasuredDigest measured;
  std::vector<Span> headers;
  /** 32 bytes per header. */
  std::vector<uint8_t> checksums;
};

struct HashingPlan {
  Algorithm algorithm = Algorithm::Sha512;
  uint64_t maxBytes = UINT64_MAX;
  const WorkerPool* pool = nullptr;
};

/** Files of one share. Nothing is known of them before flush(): they wait for each other, to be hashed side by side. */
class ShareHasher {
 public:
  ShareHasher(IngestWorker& worker, const HashingPlan& plan) : worker_(worker), plan_(plan) {}

  void hashPath(const char* path, HashedFile& file) {
    Fd fd(::open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    file.error = fd.open() ? hashOpen(std::move(fd), file) : errno;
  }

  /** @return 0 or errno */
  int hashOpen(Fd fd, HashedFile& file) {
    struct stat facts;
    if (::fstat(fd.get(), &facts) != 0) return errno;
    if (!S_ISREG(facts.st_mode)) return S_ISDIR(facts.st_mode) ? EISDIR : ELOOP;
    file.size = static_cast<uint64_t>(facts.st_size);
    if (file.size > plan_.maxBytes) return EFBIG;
    file.hasVerity = measureVerity(fd.get(), file.measured) == 0;
    file.checksums.resize(file.headers.size() * kSha256Bytes);
    if (file.size <= kSmallContentMax) return readSmall(fd.get(), file);
    large_.push_back({std::move(fd), &file});
    return 0;
  }

  /** Finishes all files; the error of one goes to it alone. */
  void flush() {
    flushSmall();
    hashLarge();
  }

 private:
  struct SmallFile {
    HashedFile* file;
    Span content;
  };
  struct LargeFile {
    Fd fd;
    HashedFile* file;
    std::vector<Sha256Stream> checksums = {};
    std::unique_ptr<VerityStream> verity = nullptr;
    Span window = {};
  };

  /**
   * Reads at `offset`, so that a descriptor's position does not matter.
   * @param enough less than `size`: so much, and no more behind it, is the end of the file
   * @return 0 or errno
   */
  static int readAt(int fd, uint8_t* bytes, size_t size, size_t enough, uint64_t offset, size_t& got) {
    got = 0;
    while (got < enough) {
      const ssize_t now = ::pread(fd, bytes + got, size - got, static_cast<off_t>(offset + got));
      if (now < 0 && errno != EINTR) return errno;
      if (now == 0) break;
      if (now > 0) got += static_cast<size_t>(now);
    }
    return 0;
  }

  static std::vector<Sha256Stream> startChecksums(const HashedFile& file) {
    std::vector<Sha256Stream> checksums(file.headers.size());
    for (size_t i = 0; i < checksums.size(); i++) checksums[i].update(file.headers[i]);
    return checksums;
  }

  static void finishChecksums(std::vector<Sha256Stream>& checksums, HashedFile& file) {
    for (size_t i = 0; i < checksums.size(); i++) checksums[i].finish(file.checksums.data() + i * kSha256Bytes);
  }

  int readSmall(int fd, HashedFile& file) {
    if (used_ + kSmallContentMax > kArenaBytes) flushSmall();
    uint8_t* content = worker_.arena() + used_;
    size_t got = 0;
    if (const int error = readAt(fd, content, kSmallContentMax, std::max<size_t>(1, file.size), 0, got)) return error;
    file.size = got;
    small_.push_back({&file, {content, got}});
    used_ += got;
    return 0;
  }

  void flushSmall() {
    std::vector<std::vector<Sha256Stream>> checksums;
    std::vector<VerityItem> items;
    Sha256Pieces pieces;
    for (const SmallFile& small : small_) {
      items.push_back({small.content, small.file->digest});
      checksums.push_back(startChecksums(*small.file));
      for (Sha256Stream& checksum : checksums.back()) pieces.push_back({&checksum, small.content});
    }
    updateSideBySide(bestShaEngine(), pieces.data(), pieces.size());
    for (size_t i = 0; i < small_.size(); i++) finishChecksums(checksums[i], *small_[i].file);
    if (!items.empty()) worker_.verity(plan_.algorithm).digests(items.data(), items.size());
    small_.clear();
    used_ = 0;
  }

  void hashLarge() {
    goThroughWindows(
        worker_, large_, [&](LargeFile& large, uint8_t* window, Sha256Pieces& pieces) { return readWindow(large, window, pieces); },
        [&](LargeFile& large) { return isGoingOn(large); });
    large_.clear();
  }

  bool readWindow(LargeFile& large, uint8_t* window, Sha256Pieces& pieces) {
    HashedFile& file = *large.file;
    if (large.verity == nullptr) {
      file.size = 0;
      large.checksums = startChecksums(file);
      large.verity = std::make_unique<VerityStream>(plan_.algorithm);
    }
    size_t got = 0;
    file.error = plan_.pool->closing() ? ECANCELED : readAt(large.fd.get(), window, kReadBytes, kReadBytes, file.size, got);
    file.size += got;
    if (file.error == 0 && file.size > plan_.maxBytes) file.error = EFBIG;
    if (file.error != 0) return release(large);
    large.window = {window, got};
    for (Sha256Stream& checksum : large.checksums) pieces.push_back({&checksum, large.window});
    return true;
  }

  /** After the checksums have the window. */
  bool isGoingOn(LargeFile& large) {
    MessageHasher& hasher = worker_.hasher(plan_.algorithm);
    large.verity->update(hasher, large.window);
    if (large.window.size == kReadBytes) return true;
    finishChecksums(large.checksums, *large.file);
    large.verity->finish(hasher, large.file->digest);
    return release(large);
  }

  /** @return false: nothing more is to be done with it */
  static bool release(LargeFile& large) {
    large.verity.reset();
    large.fd.reset();
    return false;
  }

  IngestWorker& worker_;
  const HashingPlan& plan_;
  size_t used_ = 0;
  std::vector<SmallFile> small_;
  std::vector<LargeFile> large_;
};

template <typename Body>
void guardFile(HashedFile& file, Body body) {
  try {
    body();
  } catch (const std::exception&) {
    file.error = ENOMEM;
  }
}

}  // namespace cfs
