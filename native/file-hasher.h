// Hashing files of one share of rows: fs-verity digests, and ostree checksums from the same read.
#pragma once

#include "addon.h"
#include "ingest-object.h"

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

/** Files of one share: small ones wait in the arena for their digests. */
class ShareHasher {
 public:
  ShareHasher(IngestWorker& worker, const HashingPlan& plan) : worker_(worker), plan_(plan) {}

  void hashPath(const char* path, HashedFile& file) {
    const Fd fd(::open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    file.error = fd.open() ? hashOpen(fd.get(), file) : errno;
  }

  int hashOpen(int fd, HashedFile& file) {
    struct stat facts;
    if (::fstat(fd, &facts) != 0) return errno;
    if (!S_ISREG(facts.st_mode)) return S_ISDIR(facts.st_mode) ? EISDIR : ELOOP;
    file.size = static_cast<uint64_t>(facts.st_size);
    if (file.size > plan_.maxBytes) return EFBIG;
    file.hasVerity = measureVerity(fd, file.measured) == 0;
    file.checksums.resize(file.headers.size() * kSha256Bytes);
    return file.size <= kSmallContentMax ? hashSmall(fd, file) : hashLarge(fd, file);
  }

  void flush() {
    if (!items_.empty()) worker_.verity(plan_.algorithm).digests(items_.data(), items_.size());
    items_.clear();
    used_ = 0;
  }

 private:
  /** Reads at `offset`, so that a descriptor's position does not matter. @return 0 or errno */
  static int readAt(int fd, uint8_t* bytes, size_t size, uint64_t offset, size_t& got) {
    got = 0;
    while (got < size) {
      const ssize_t now = ::pread(fd, bytes + got, size - got, static_cast<off_t>(offset + got));
      if (now < 0 && errno != EINTR) return errno;
      if (now == 0) break;
      if (now > 0) got += static_cast<size_t>(now);
    }
    return 0;
  }

  int hashSmall(int fd, HashedFile& file) {
    if (used_ + kSmallContentMax > kArenaBytes) flush();
    uint8_t* content = worker_.arena() + used_;
    size_t got = 0;
    if (const int error = readAt(fd, content, kSmallContentMax, 0, got)) return error;
    file.size = got;
    for (size_t i = 0; i < file.headers.size(); i++) {
      worker_.sha256.start();
      worker_.sha256.update(file.headers[i]);
      worker_.sha256.update({content, got});
      worker_.sha256.finish(file.checksums.data() + i * kSha256Bytes);
    }
    items_.push_back({{content, got}, file.digest});
    used_ += got;
    return 0;
  }

  int hashLarge(int fd, HashedFile& file) {
    std::vector<std::unique_ptr<Sha>> contexts;
    for (const Span& header : file.headers) {
      contexts.push_back(std::make_unique<Sha>(Algorithm::Sha256));
      contexts.back()->start();
      contexts.back()->update(header);
    }
    VerityStream verity(plan_.algorithm);
    MessageHasher& hasher = worker_.hasher(plan_.algorithm);
    file.size = 0;
    for (;;) {
      if (plan_.pool->closing()) return ECANCELED;
      size_t got = 0;
      if (const int error = readAt(fd, worker_.window(), kWindowBytes, file.size, got)) return error;
      file.size += got;
      if (file.size > plan_.maxBytes) return EFBIG;
      for (const auto& context : contexts) context->update({worker_.window(), got});
      verity.update(hasher, {worker_.window(), got});
      if (got < kWindowBytes) break;
    }
    for (size_t i = 0; i < contexts.size(); i++) contexts[i]->finish(file.checksums.data() + i * kSha256Bytes);
    verity.finish(hasher, file.digest);
    return 0;
  }

  IngestWorker& worker_;
  const HashingPlan& plan_;
  size_t used_ = 0;
  std::vector<VerityItem> items_;
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
