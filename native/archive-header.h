// Headers of ostree file objects: the archive form (tuuuusa(ayay)) and the content form (uuuusa(ayay)), each behind an
// 8-byte prefix (big-endian length of the variant, four zero bytes). Read strictly: what ostree would not write is refused.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bytes.h"
#include "ingest-status.h"

namespace cfs {

constexpr size_t kHeaderPrefix = 8;
/** Xattrs of a file together stay far below: the kernel lists at most 64 KiB of names. Bounds what a hostile length can cost. */
constexpr size_t kMaxHeaderBytes = size_t{1} << 20;
/** PATH_MAX less its NUL: no file system takes a longer target. */
constexpr size_t kMaxTargetBytes = 4095;
/** XATTR_NAME_MAX. */
constexpr size_t kMaxXattrNameBytes = 255;
/** What the 16-bit field of an EROFS image holds. */
constexpr size_t kMaxXattrValueBytes = 65535;
/** Number.MAX_SAFE_INTEGER: sizes are JavaScript numbers. */
constexpr uint64_t kMaxFileBytes = (uint64_t{1} << 53) - 1;

constexpr uint32_t kTypeBits = 0170000;
constexpr uint32_t kRegularType = 0100000;
constexpr uint32_t kSymlinkType = 0120000;

/** What a header says. The spans point into the parsed bytes. */
struct FileHeader {
  uint32_t uid = 0, gid = 0, mode = 0;
  /** Without its NUL. */
  Span target;
  /** The serialized a(ayay). */
  Span xattrs;
  /** Announced; archive form only. */
  uint64_t size = 0;

  bool isSymlink() const { return (mode & kTypeBits) == kSymlinkType; }
};

/** @param variant without the prefix */
Verdict parseArchiveVariant(Span variant, FileHeader& header);
Verdict parseContentVariant(Span variant, FileHeader& header);
/** `user.ostreemeta`: (uuua(ayay)), no prefix. Sets uid, gid, mode and xattrs; these are left to sortXattrArray(). */
Verdict parseOstreemeta(Span bytes, FileHeader& header);
/** Normal form, names with one NUL at their end, ascending, no duplicates, lengths. */
Verdict checkXattrArray(Span xattrs);
/** The same, but accepts any order, and writes them anew in ascending order. */
Verdict sortXattrArray(Span xattrs, std::vector<uint8_t>& sorted);

using Xattrs = std::vector<std::pair<std::string, std::string>>;
/** Appends each name, without its NUL, and value. */
Verdict listXattrs(Span xattrs, Xattrs& list);

/** Splits prefix and variant of a whole object. @param headerBytes their length together */
Verdict parsePrefix(Span object, size_t& headerBytes);
/** The same of the first 8 bytes alone. */
Verdict parsePrefixBytes(const uint8_t* prefix, size_t& headerBytes);

using OwnedBytes = std::vector<uint8_t>;
/** Prefix included; Xattrs or HeaderLength when it would break a limit. */
Verdict serializeArchiveHeader(const FileHeader& header, OwnedBytes& bytes);
/** Prefix included: what the ostree checksum of a file starts with. */
void serializeContentHeader(const FileHeader& header, OwnedBytes& bytes);

/** Sorts, and serializes as a(ayay). Names without NUL. */
OwnedBytes serializeXattrs(Xattrs& xattrs);

bool isUtf8(Span bytes);

}  // namespace cfs
