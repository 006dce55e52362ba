#include "archive-header.h"

#include <algorithm>

#include "gvariant-framing.h"

namespace cfs {

namespace {

constexpr Verdict kGood{};
constexpr Verdict kNotNormal{Status::HeaderForm, Step::None, 0};
constexpr Verdict kBadXattrs{Status::Xattrs, Step::None, 0};

/** The one offset at the end of a tuple whose only variable member before the last ends there. */
bool readSingleOffset(Span tuple, size_t& end, size_t& width) {
  if (tuple.size == 0) return false;
  width = offsetWidth(tuple.size);
  if (tuple.size < width) return false;
  const size_t body = tuple.size - width;
  const uint64_t offset = readLittleEndian(tuple.data + body, width);
  if (offset > body || writtenOffsetWidth(body, 1) != width) return false;
  end = static_cast<size_t>(offset);
  return true;
}

/** Exactly one NUL, at its end, and something before it. */
bool isXattrName(Span name) {
  return name.size >= 2 && name.size <= kMaxXattrNameBytes + 1 && std::memchr(name.data, 0, name.size) == name.data + name.size - 1;
}

/** Both end with NUL, so this is the order of strcmp. */
bool comesBefore(Span name, Span other) { return std::memcmp(name.data, other.data, std::min(name.size, other.size)) < 0; }

/** Calls `visit(name with NUL, value)` for each element of an a(ayay) in normal form, until it says false. */
template <typename Visit>
Verdict walkXattrs(Span array, Visit visit) {
  if (array.size == 0) return kGood;
  const size_t width = offsetWidth(array.size);
  if (array.size < width) return kNotNormal;
  const uint64_t tableStart = readLittleEndian(array.data + array.size - width, width);
  if (tableStart > array.size - width) return kNotNormal;
  const size_t tableBytes = array.size - static_cast<size_t>(tableStart);
  if (tableBytes % width != 0) return kNotNormal;
  const size_t count = tableBytes / width;
  if (writtenOffsetWidth(tableStart, count) != width) return kNotNormal;

  size_t start = 0;
  for (size_t i = 0; i < count; i++) {
    const uint64_t end = readLittleEndian(array.data + tableStart + i * width, width);
    if (end < start || end > tableStart) return kNotNormal;
    const Span element = array.slice(start, static_cast<size_t>(end));
    size_t nameEnd = 0, elementWidth = 0;
    if (!readSingleOffset(element, nameEnd, elementWidth)) return kNotNormal;
    const Span name = element.slice(0, nameEnd);
    const Span value = element.slice(nameEnd, element.size - elementWidth);
    if (!isXattrName(name) || value.size > kMaxXattrValueBytes || !visit(name, value)) return kBadXattrs;
    start = static_cast<size_t>(end);
  }
  return kGood;
}

/** uid, gid and mode: all big-endian. */
Verdict readOwnerAndMode(const uint8_t* at, FileHeader& header) {
  header.uid = readBigEndian32(at);
  header.gid = readBigEndian32(at + 4);
  header.mode = readBigEndian32(at + 8);
  const uint32_t type = header.mode & kTypeBits;
  if (type != kRegularType && type != kSymlinkType) return {Status::FileType, Step::None, 0};
  if ((header.mode & ~(kTypeBits | 07777u)) != 0) return {Status::ModeBits, Step::None, 0};
  return kGood;
}

/** From uid on; `tail` starts there, `fixedBefore` bytes after the start of the variant. */
Verdict parseFromOwner(Span variant, size_t fixedBefore, FileHeader& header) {
  const size_t stringStart = fixedBefore + 16;
  size_t stringEnd = 0, width = 0;
  if (variant.size < stringStart || !readSingleOffset(variant, stringEnd, width)) return kNotNormal;
  if (stringEnd <= stringStart) return kNotNormal;
  const Span target = variant.slice(stringStart, stringEnd);
  if (std::memchr(target.data, 0, target.size) != target.data + target.size - 1) return kNotNormal;
  header.target = {target.data, target.size - 1};
  if (!isUtf8(header.target)) return kNotNormal;
  header.xattrs = variant.slice(stringEnd, variant.size - width);

  const Verdict owner = readOwnerAndMode(variant.data + fixedBefore, header);
  if (owner.refused()) return owner;
  if (readBigEndian32(variant.data + fixedBefore + 12) != 0) return {Status::Rdev, Step::None, 0};
  const bool badTarget = header.isSymlink() ? header.target.size == 0 || header.target.size > kMaxTargetBytes : header.target.size != 0;
  if (badTarget) return {Status::Target, Step::None, 0};
  return checkXattrArray(header.xattrs);
}

void appendOffset(OwnedBytes& bytes, uint64_t offset, size_t width) {
  for (size_t i = 0; i < width; i++) bytes.push_back(static_cast<uint8_t>(offset >> (8 * i)));
}

/** Everything from the prefix on; `sized`: archive form. */
void serializeHeader(const FileHeader& header, bool sized, OwnedBytes& bytes) {
  const size_t fixed = sized ? 24 : 16;
  const size_t stringEnd = fixed + header.target.size + 1;
  const size_t body = stringEnd + header.xattrs.size;
  const size_t width = writtenOffsetWidth(body, 1);
  bytes.assign(kHeaderPrefix + fixed, 0);
  bytes.reserve(kHeaderPrefix + body + width);
  writeBigEndian32(bytes.data(), static_cast<uint32_t>(body + width));
  uint8_t* at = bytes.data() + kHeaderPrefix;
  if (sized) {
    writeBigEndian64(at, header.size);
    at += 8;
  }
  writeBigEndian32(at, header.uid);
  writeBigEndian32(at + 4, header.gid);
  writeBigEndian32(at + 8, header.mode);  // rdev stays 0
  bytes.insert(bytes.end(), header.target.data, header.target.data + header.target.size);
  bytes.push_back(0);
  bytes.insert(bytes.end(), header.xattrs.data, header.xattrs.data + header.xattrs.size);
  appendOffset(bytes, stringEnd, width);
}

}  // namespace

bool isUtf8(Span bytes) {
  const uint8_t* at = bytes.data;
  const uint8_t* const end = bytes.data + bytes.size;
  while (at < end) {
    const uint8_t lead = *at++;
    if (lead < 0x80) continue;
    const int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    if (lead < 0xc2 || lead > 0xf4 || end - at < more) return false;  // c0, c1: overlong
    uint32_t point = lead & (0x3f >> more);
    for (int i = 0; i < more; i++, at++) {
      if ((*at & 0xc0) != 0x80) return false;
      point = point << 6 | (*at & 0x3f);
    }
    if (more == 2 && (point < 0x800 || (point >= 0xd800 && point <= 0xdfff))) return false;
    if (more == 3 && (point < 0x10000 || point > 0x10ffff)) return false;
  }
  return true;
}

Verdict checkXattrArray(Span array) {
  Span previous;
  return walkXattrs(array, [&](Span name, Span) {
    const bool ascending = previous.size == 0 || comesBefore(previous, name);
    previous = name;
    return ascending;
  });
}

Verdict listXattrs(Span array, Xattrs& list) {
  return walkXattrs(array, [&](Span name, Span value) {
    list.emplace_back(std::string(reinterpret_cast<const char*>(name.data), name.size - 1),
                      std::string(reinterpret_cast<const char*>(value.data), value.size));
    return true;
  });
}

Verdict sortXattrArray(Span array, OwnedBytes& sorted) {
  Xattrs xattrs;
  const Verdict verdict = listXattrs(array, xattrs);
  if (verdict.refused()) return verdict;
  sorted = serializeXattrs(xattrs);
  return checkXattrArray({sorted.data(), sorted.size()});
}

Verdict parseArchiveVariant(Span variant, FileHeader& header) {
  if (variant.size < 8) return kNotNormal;
  const uint64_t size = readBigEndian64(variant.data);
  const Verdict verdict = parseFromOwner(variant, 8, header);
  if (verdict.refused()) return verdict;
  if (size > kMaxFileBytes) return {Status::SizeRange, Step::None, 0};
  header.size = size;
  if (header.isSymlink() && size != 0) return {Status::SymlinkSize, Step::None, 0};
  return kGood;
}

Verdict parseContentVariant(Span variant, FileHeader& header) { return parseFromOwner(variant, 0, header); }

Verdict parseOstreemeta(Span bytes, FileHeader& header) {
  if (bytes.size < 12) return kNotNormal;
  const Verdict owner = readOwnerAndMode(bytes.data, header);
  if (owner.refused()) return owner;
  header.xattrs = bytes.from(12);
  return kGood;
}

Verdict parsePrefixBytes(const uint8_t* prefix, size_t& headerBytes) {
  const uint32_t variantBytes = readBigEndian32(prefix);
  if (variantBytes == 0 || variantBytes > kMaxHeaderBytes) return {Status::HeaderLength, Step::None, 0};
  if (readBigEndian32(prefix + 4) != 0) return {Status::HeaderPadding, Step::None, 0};
  headerBytes = kHeaderPrefix + variantBytes;
  return kGood;
}

Verdict parsePrefix(Span object, size_t& headerBytes) {
  if (object.size < kHeaderPrefix) return {Status::HeaderLength, Step::None, 0};
  const Verdict verdict = parsePrefixBytes(object.data, headerBytes);
  if (!verdict.refused() && headerBytes > object.size) return {Status::HeaderLength, Step::None, 0};
  return verdict;
}

Verdict serializeArchiveHeader(const FileHeader& header, OwnedBytes& bytes) {
  if (header.xattrs.size + header.target.size + 64 > kMaxHeaderBytes) return {Status::HeaderLength, Step::None, 0};
  serializeHeader(header, true, bytes);
  return kGood;
}

void serializeContentHeader(const FileHeader& header, OwnedBytes& bytes) { serializeHeader(header, false, bytes); }

OwnedBytes serializeXattrs(Xattrs& xattrs) {
  std::sort(xattrs.begin(), xattrs.end());
  OwnedBytes bytes;
  std::vector<uint64_t> ends;
  for (const auto& [name, value] : xattrs) {
    const size_t nameEnd = name.size() + 1;
    bytes.insert(bytes.end(), name.begin(), name.end());
    bytes.push_back(0);
    bytes.insert(bytes.end(), value.begin(), value.end());
    appendOffset(bytes, nameEnd, writtenOffsetWidth(nameEnd + value.size(), 1));
    ends.push_back(bytes.size());
  }
  const size_t width = ends.empty() ? 0 : writtenOffsetWidth(bytes.size(), ends.size());
  for (const uint64_t end : ends) appendOffset(bytes, end, width);
  return bytes;
}

}  // namespace cfs
