#include "system.h"

#include <linux/fs.h>
#include <linux/fsverity.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <cstdio>
#include <ctime>

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif

namespace cfs {

int writeAll(int fd, Span bytes) {
  while (bytes.size != 0) {
    const ssize_t written = ::write(fd, bytes.data, bytes.size);
    if (written < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    bytes = bytes.from(static_cast<size_t>(written));
  }
  return 0;
}

namespace {
int readSome(int fd, uint8_t* bytes, size_t most, size_t enough, size_t& got) {
  got = 0;
  while (got < enough) {
    const ssize_t now = ::read(fd, bytes + got, most - got);
    if (now < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    if (now == 0) break;
    got += static_cast<size_t>(now);
  }
  return 0;
}
}  // namespace

int readUpTo(int fd, uint8_t* bytes, size_t size, size_t& got) { return readSome(fd, bytes, size, size, got); }

int readWhole(int fd, uint8_t* bytes, size_t size, size_t& got) {
  return readSome(fd, bytes, size + 1, size == 0 ? 1 : size, got);
}

ProcPath::ProcPath(int fd) { std::snprintf(text, sizeof text, "/proc/self/fd/%d", fd); }

int enableVerity(int fd, Algorithm algorithm) {
  fsverity_enable_arg argument = {};
  argument.version = 1;
  argument.hash_algorithm = static_cast<uint32_t>(algorithm);
  argument.block_size = 4096;
  return ::ioctl(fd, FS_IOC_ENABLE_VERITY, &argument) == 0 ? 0 : errno;
}

int enableVerityPatiently(int fd, Algorithm algorithm) {
  long waitMs = 1;
  for (;;) {
    const int error = enableVerity(fd, algorithm);
    if (error == EINTR) continue;
    if (error != ETXTBSY || waitMs > 512) return error;
    const timespec wait = {waitMs / 1000, (waitMs % 1000) * 1'000'000};
    ::nanosleep(&wait, nullptr);
    waitMs *= 2;
  }
}

int measureVerity(int fd, MeasuredDigest& result) {
  // a flexible array member ends the kernel's struct
  alignas(fsverity_digest) uint8_t storage[sizeof(fsverity_digest) + kMaxDigestBytes] = {};
  auto* digest = reinterpret_cast<fsverity_digest*>(storage);
  digest->digest_size = kMaxDigestBytes;  // in: room, out: actual size
  if (::ioctl(fd, FS_IOC_MEASURE_VERITY, digest) != 0) return errno;
  result.algorithm = digest->digest_algorithm;
  result.size = digest->digest_size <= kMaxDigestBytes ? digest->digest_size : kMaxDigestBytes;
  std::memcpy(result.bytes, storage + sizeof(fsverity_digest), result.size);
  return 0;
}

int cloneFile(int from, int to) { return ::ioctl(to, FICLONE, from) == 0 ? 0 : errno; }

int renameNoReplace(int fromDirectory, const char* from, int toDirectory, const char* to) {
  return ::syscall(SYS_renameat2, fromDirectory, from, toDirectory, to, RENAME_NOREPLACE) == 0 ? 0 : errno;
}

void lowerThreadPriority(int niceness) {
  const auto thread = static_cast<id_t>(::syscall(SYS_gettid));
  const int now = ::getpriority(PRIO_PROCESS, thread);
  ::setpriority(PRIO_PROCESS, thread, now + niceness);  // only a wish: failing costs speed, nothing else
}

}  // namespace cfs
