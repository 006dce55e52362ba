#include "fanout-entries.h"

#include <cerrno>

namespace cfs {

namespace {

/** What no hex digit has. */
constexpr uint8_t kNoDigit = 0xf0;

/** The value of each character as a lower-case hex digit. */
struct HexValues {
  uint8_t of[256];
  constexpr HexValues() : of() {
    for (uint8_t& value : of) value = kNoDigit;
    for (uint8_t digit = 0; digit < 16; digit++) of[static_cast<uint8_t>(kHexDigits[digit])] = digit;
  }
};
constexpr HexValues kHexValues;

}  // namespace

bool readObjectName(const char* name, size_t idBytes, uint8_t* id) {
  const size_t digits = 2 * (idBytes - 1);
  if (::strnlen(name, digits + 1) != digits) return false;
  uint8_t seen = 0;
  for (size_t i = 1; i < idBytes; i++, name += 2) {  // no branch for a digit
    const uint8_t high = kHexValues.of[static_cast<uint8_t>(name[0])], low = kHexValues.of[static_cast<uint8_t>(name[1])];
    seen |= high | low;
    id[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return (seen & kNoDigit) == 0;
}

std::string pathInFanout(uint8_t firstByte, const std::string& name) {
  const std::string path = {kHexDigits[firstByte >> 4], kHexDigits[firstByte & 15]};
  return name.empty() ? path : path + "/" + name;
}

int FanoutEntries::open(int root, uint8_t firstByte) {
  Fd fd(::openat(root, pathInFanout(firstByte, "").c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  // whatever else has that name is seen by whoever lists `objects/` itself
  if (!fd.open()) return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : errno;
  directory_.reset(::fdopendir(fd.get()));
  if (directory_ == nullptr) return errno;
  fd.release();
  return 0;
}

const dirent* FanoutEntries::next() {
  const auto isDots = [](const char* name) { return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0')); };
  while (directory_ != nullptr && error_ == 0) {
    errno = 0;
    const dirent* entry = ::readdir(directory_.get());
    if (entry == nullptr) {
      error_ = errno;
      break;
    }
    if (!isDots(entry->d_name)) return entry;
  }
  return nullptr;
}

}  // namespace cfs
