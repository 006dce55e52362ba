// The directories `00` … `ff` of a repository's objects, opened once for very many look-ups.
#pragma once

#include "system.h"

namespace cfs {

constexpr size_t kFanouts = 256;
constexpr char kHexDigits[] = "0123456789abcdef";

class Fanouts {
 public:
  /** Those that are missing, or no directories, stay out. @param root descriptor of `objects/` @return 0 or errno */
  int openAll(int root) {
    for (size_t byte = 0; byte < kFanouts; byte++) {
      const char name[] = {kHexDigits[byte >> 4], kHexDigits[byte & 15], '\0'};
      directories_[byte].reset(::openat(root, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!directories_[byte].open() && errno != ENOENT && errno != ENOTDIR && errno != ELOOP) return errno;
    }
    return 0;
  }
  /** Descriptor of the directory that an object is in; -1: there is none. */
  int of(const uint8_t* id) const { return directories_[id[0]].get(); }

 private:
  Fd directories_[kFanouts];
};

/** The name of an object in its directory. */
struct ObjectName {
  char text[2 * kMaxDigestBytes - 1];
  ObjectName(const uint8_t* id, size_t idBytes) {
    char* to = text;
    for (size_t i = 1; i < idBytes; i++) {
      *to++ = kHexDigits[id[i] >> 4];
      *to++ = kHexDigits[id[i] & 15];
    }
    *to = '\0';
  }
};

}  // namespace cfs
