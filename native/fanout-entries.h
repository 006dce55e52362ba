// What lies in the directories `00` … `ff` of a repository's objects.
#pragma once

#include <dirent.h>

#include <memory>
#include <string>

#include "fanouts.h"

namespace cfs {

/**
 * The id that a name in a fanout directory makes. Every name in the store passes here.
 * @param id its first byte is there already
 * @return false: it is no object's
 */
bool readObjectName(const char* name, size_t idBytes, uint8_t* id);

/** Relative to `objects/`. @param name empty: the directory itself */
std::string pathInFanout(uint8_t firstByte, const std::string& name);

/** One directory's entries, without `.` and `..`. */
class FanoutEntries {
 public:
  /** Where there is none, or something else has its name, there are no entries. @param root descriptor of `objects/` @return 0 or errno */
  int open(int root, uint8_t firstByte);
  /** Valid until the next call. nullptr: the end, or error(). */
  const dirent* next();
  int error() const { return error_; }
  bool isOpen() const { return directory_ != nullptr; }
  int fd() const { return ::dirfd(directory_.get()); }

 private:
  struct Close {
    void operator()(DIR* directory) const { ::closedir(directory); }
  };
  std::unique_ptr<DIR, Close> directory_;
  int error_ = 0;
};

}  // namespace cfs
