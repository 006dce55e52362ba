// Descriptors and the few system calls that glibc of Debian 12 does not wrap, or wraps only by name.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "bytes.h"
#include "sha.h"

namespace cfs {

/** Closes on destruction. */
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~Fd() { reset(-1); }
  int get() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  void reset(int fd = -1) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

/** @return 0 or errno */
int writeAll(int fd, Span bytes);
/** Fills `bytes` unless the file ends. @param got what was read @return 0 or errno */
int readUpTo(int fd, uint8_t* bytes, size_t size, size_t& got);
/**
 * A regular file that is `size` bytes long. Asks for one more: that it does not come tells the end, without another call.
 * @param bytes has room for size + 1 @param got size + 1 when the file is longer @return 0 or errno
 */
int readWhole(int fd, uint8_t* bytes, size_t size, size_t& got);

/** `/proc/self/fd/N`, in `path`. */
struct ProcPath {
  char text[32];
  explicit ProcPath(int fd);
};

/** FS_IOC_ENABLE_VERITY with 4096-byte blocks, no salt. @return 0 or errno */
int enableVerity(int fd, Algorithm algorithm);
/** As before, but waits (for at most about a second) while somebody, such as a child just forked, holds the file open for writing. */
int enableVerityPatiently(int fd, Algorithm algorithm);
struct MeasuredDigest {
  /** The kernel's number: perhaps one that we do not know. */
  unsigned algorithm = 0;
  unsigned size = 0;
  uint8_t bytes[kMaxDigestBytes] = {};
  bool is(Algorithm wanted, const uint8_t* digest) const {
    return algorithm == static_cast<unsigned>(wanted) && size == digestBytes(wanted) && std::memcmp(bytes, digest, size) == 0;
  }
};
/** FS_IOC_MEASURE_VERITY. @return 0 or errno; ENODATA: no fs-verity on this file */
int measureVerity(int fd, MeasuredDigest& digest);
/** This file, this file system or this kernel has no fs-verity. */
inline bool meansNoVerity(int error) { return error == ENODATA || error == ENOTTY || error == EOPNOTSUPP; }

/** FICLONE. @return 0 or errno */
int cloneFile(int from, int to);
/** These two files can never be cloned (as opposed to: not now). */
inline bool meansNoClone(int error) { return error == EOPNOTSUPP || error == EXDEV || error == EINVAL || error == ENOTTY || error == EPERM; }

/** @return 0 or errno */
int renameNoReplace(int fromDirectory, const char* from, int toDirectory, const char* to);

/** For the calling thread. */
void lowerThreadPriority(int niceness);

}  // namespace cfs
