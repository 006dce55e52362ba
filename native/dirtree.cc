#include "dirtree.h"

#include <algorithm>

#include "archive-header.h"
#include "gvariant-framing.h"

namespace cfs {

namespace {

/** < 0, 0 or > 0; a proper prefix comes first. */
int compareNames(Span bytes, const DirtreeEntry& a, const DirtreeEntry& b) {
  const size_t aBytes = a.nameEnd - a.nameStart;
  const size_t bBytes = b.nameEnd - b.nameStart;
  const int order = std::memcmp(bytes.data + a.nameStart, bytes.data + b.nameStart, std::min(aBytes, bBytes));
  return order != 0 ? order : aBytes < bBytes ? -1 : aBytes > bBytes;
}

/** With a NUL behind it. */
bool isName(Span bytes, size_t start, size_t nul) {
  if (bytes.data[nul] != 0 || nul == start || nul - start > kMaxNameBytes) return false;
  const Span name = bytes.slice(start, nul);
  if (std::memchr(name.data, '/', name.size) != nullptr || std::memchr(name.data, 0, name.size) != nullptr) return false;
  const bool isDots = name.data[0] == '.' && (name.size == 1 || (name.size == 2 && name.data[1] == '.'));
  return !isDots && isUtf8(name);
}

/** One array of `(say)` or `(sayay)` at bytes[start, end). */
bool readEntries(Span bytes, size_t start, size_t end, size_t checksums, std::vector<DirtreeEntry>& entries) {
  entries.clear();
  const size_t size = end - start;
  if (size == 0) return true;
  const size_t width = offsetWidth(size);
  if (size < width) return false;
  const uint64_t bodyBytes = readLittleEndian(bytes.data + end - width, width);
  if (bodyBytes > size - width || (size - bodyBytes) % width != 0) return false;
  const size_t count = (size - bodyBytes) / width;
  if (writtenOffsetWidth(bodyBytes, count) != width || count > kMaxDirectoryEntries) return false;
  const size_t table = start + static_cast<size_t>(bodyBytes);
  const size_t checksumsBytes = checksums * kSha256Bytes;
  entries.reserve(count);
  size_t at = start;
  for (size_t offset = table; offset < end; offset += width) {
    const uint64_t length = readLittleEndian(bytes.data + offset, width);
    if (length > bodyBytes || start + length <= at) return false;
    const size_t next = start + static_cast<size_t>(length);
    const size_t entryWidth = offsetWidth(next - at);
    // a name of at least one byte and its NUL
    if (next - at < 2 + checksumsBytes + checksums * entryWidth) return false;
    const size_t checksumsEnd = next - checksums * entryWidth;
    const size_t checksumsStart = checksumsEnd - checksumsBytes;
    if (readLittleEndian(bytes.data + next - entryWidth, entryWidth) != checksumsStart - at) return false;
    if (checksums == 2 && readLittleEndian(bytes.data + checksumsEnd, entryWidth) != checksumsStart + kSha256Bytes - at) return false;
    if (writtenOffsetWidth(checksumsEnd - at, checksums) != entryWidth) return false;
    const DirtreeEntry entry{at, checksumsStart - 1, checksumsStart};
    if (!isName(bytes, entry.nameStart, entry.nameEnd)) return false;
    if (!entries.empty() && compareNames(bytes, entries.back(), entry) >= 0) return false;
    entries.push_back(entry);
    at = next;
  }
  return true;
}

/** Both are sorted. */
bool shareAName(Span bytes, const DirtreeEntries& entries) {
  auto file = entries.files.begin();
  for (const DirtreeEntry& directory : entries.directories) {
    while (file != entries.files.end() && compareNames(bytes, *file, directory) < 0) ++file;
    if (file == entries.files.end()) return false;
    if (compareNames(bytes, *file, directory) == 0) return true;
  }
  return false;
}

}  // namespace

bool readDirtree(Span bytes, DirtreeEntries& entries) {
  if (bytes.size == 0 || bytes.size > kMaxMetadataBytes) return false;
  const size_t width = offsetWidth(bytes.size);
  if (bytes.size < width) return false;
  const size_t bodyEnd = bytes.size - width;
  const uint64_t filesEnd = readLittleEndian(bytes.data + bodyEnd, width);
  if (filesEnd > bodyEnd || writtenOffsetWidth(bodyEnd, 1) != width) return false;
  return readEntries(bytes, 0, static_cast<size_t>(filesEnd), 1, entries.files) &&
         readEntries(bytes, static_cast<size_t>(filesEnd), bodyEnd, 2, entries.directories) && !shareAName(bytes, entries);
}

}  // namespace cfs
