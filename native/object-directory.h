// The `objects` directory of a composefs repository: temporaries, and giving them their names.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <string>

#include "ingest-status.h"
#include "sha.h"
#include "system.h"

namespace cfs {

class ObjectDirectory;

/** A file without its final name. Leaves nothing behind unless it was linked. */
class Temporary {
 public:
  Temporary() = default;
  Temporary(Temporary&&) noexcept = default;
  Temporary& operator=(Temporary&&) noexcept;
  ~Temporary() { discard(); }
  bool exists() const { return fd_.open(); }
  int fd() const { return fd_.get(); }
  void discard();

 private:
  friend class ObjectDirectory;
  Fd fd_;
  /** Of a named one: where to remove it. */
  std::shared_ptr<const Fd> directory_;
  std::string name_;
};

/** `xx/yyyy…` of an object id. */
struct ObjectPath {
  uint8_t firstByte;
  char text[2 * kMaxDigestBytes + 2];
  ObjectPath(Algorithm algorithm, const uint8_t* id);
  /** `xx` */
  struct Subdirectory {
    char text[3];
  };
  Subdirectory subdirectory() const { return {{text[0], text[1], '\0'}}; }
};

struct ObjectDirectoryOptions {
  Algorithm algorithm;
  bool secure;
  bool namedTemporaries;
};

/** Threads may use it at the same time. */
class ObjectDirectory {
 public:
  ObjectDirectory(Fd fd, const ObjectDirectoryOptions& options);

  /**
   * Open for reading and writing, empty.
   * @param place where it is going to be, if known: an unnamed file is made in that subdirectory. File systems keep an inode near its
   *   directory, and threads that make files in one directory wait for each other.
   */
  Verdict createTemporary(Temporary& temporary, const ObjectPath* place = nullptr);
  /**
   * Writes a new object, unless it is there already. A damaged one (power was lost before its data was on disk) is replaced.
   * @param hasher of the repository's algorithm
   */
  Verdict store(const uint8_t* id, Span content, MessageHasher& hasher);
  /**
   * Gives a completely written file its name: New, also where a damaged object had it, or Present.
   * @param content the same bytes where they are in memory; else an existing object of that name is hashed
   */
  Verdict publish(Temporary& temporary, const uint8_t* id, uint64_t size, const Span* content, MessageHasher& hasher);
  /** A further name for a file of another repository; secure: enables fs-verity on it. EXDEV, EPERM, EMLINK: not possible. */
  Verdict publishHardLink(int source, const uint8_t* id, uint64_t size, const Span* content, MessageHasher& hasher);
  /** Whether an object of that name is there: Present, New when not, DamagedObject, SystemCall. */
  Verdict examine(const ObjectPath& path, const uint8_t* id, uint64_t size, const Span* content, MessageHasher& hasher);

  /** No calls after this; temporaries may outlive it. */
  void close() { fd_.reset(); }

  Algorithm algorithm() const { return options_.algorithm; }
  bool secure() const { return options_.secure; }
  dev_t device() const { return device_; }

 private:
  /** @param attempt makes a file of the name it is given; EEXIST when that is taken */
  template <typename Attempt>
  Verdict underTemporaryName(Temporary& temporary, Attempt attempt);
  Verdict createUnnamed(Temporary& temporary, const char* where);
  Verdict seal(Temporary& temporary, const uint8_t* id);
  Verdict sealReader(int reader, const uint8_t* id);
  Verdict linkFd(int fd, const char* path);
  Verdict rename(Temporary& temporary, const ObjectPath& path);
  /**
   * Puts a verified file in the place of an object that is not what its name says: New. A directory stays: DamagedObject.
   * @param temporary gets a name for `file`, unless it has one
   */
  Verdict replaceDamaged(int file, Temporary& temporary, const ObjectPath& path);
  Verdict makeSubdirectory(const ObjectPath& path);
  /** Nothing was there before: only what this or another writer has put there since. */
  bool isNewSubdirectory(uint8_t firstByte) const { return newSubdirectories_[firstByte].load(std::memory_order_relaxed); }
  template <typename Attempt, typename Replace>
  Verdict nameIt(const ObjectPath& path, const uint8_t* id, uint64_t size, const Span* content, MessageHasher& hasher, Attempt attempt,
                 Replace replace);

  int directory() const { return fd_->get(); }

  std::shared_ptr<const Fd> fd_;
  const ObjectDirectoryOptions options_;
  dev_t device_ = 0;
  std::atomic<bool> named_;
  /** By first byte: whether the subdirectory was made here. */
  std::array<std::atomic<bool>, 256> newSubdirectories_{};
  /** linkat(AT_EMPTY_PATH) works here; it is cheaper than a walk through /proc. */
  std::atomic<bool> emptyPathLinks_{true};
};

}  // namespace cfs
