// How the ingest of one object ended. The numbers are part of the addon's interface (native/index.d.ts, src/native.ts).
#pragma once

#include <cstdint>

namespace cfs {

#define CFS_INGEST_STATUSES(X)                                              \
  X(Inline, 0, "inline")                                                    \
  X(New, 1, "new")                                                          \
  X(Present, 2, "present")                                                  \
  /* the header */                                                          \
  X(HeaderLength, 16, "headerLength")   /* none, beyond the end or limit */ \
  X(HeaderPadding, 17, "headerPadding") /* bytes 4 to 7 are not zero */     \
  X(HeaderForm, 18, "headerForm")       /* not GVariant normal form */      \
  X(SizeRange, 19, "sizeRange")         /* above 2^53 - 1 */                \
  X(FileType, 20, "fileType")           /* neither regular nor symlink */   \
  X(ModeBits, 21, "modeBits")           /* outside type and 07777 */        \
  X(Rdev, 22, "rdev")                                                       \
  X(Target, 23, "target")               /* missing, too long, or extra */   \
  X(Xattrs, 24, "xattrs")               /* names, order, lengths */         \
  X(SymlinkSize, 25, "symlinkSize")                                         \
  /* the body */                                                            \
  X(Deflate, 32, "deflate")                                                 \
  X(Truncated, 33, "truncated")                                             \
  X(SizeDiffers, 34, "sizeDiffers")                                         \
  X(TrailingBytes, 35, "trailingBytes")                                     \
  /* identity */                                                            \
  X(ChecksumDiffers, 48, "checksumDiffers")                                 \
  X(DamagedObject, 49, "damagedObject") /* the one in our repository */     \
  X(VerityDiffers, 50, "verityDiffers") /* the kernel measures another */   \
  /* local sources */                                                       \
  X(LocalForm, 56, "localForm")         /* not what the mode keeps */       \
  X(LocalChanged, 57, "localChanged")   /* while it was read */             \
  /* the rest */                                                            \
  X(SystemCall, 64, "systemCall")                                           \
  X(Closed, 65, "closed")

enum class Status : uint8_t {
#define CFS_ENUM(name, number, text) name = number,
  CFS_INGEST_STATUSES(CFS_ENUM)
#undef CFS_ENUM
};

#define CFS_INGEST_STEPS(X)              \
  X(None, "")                            \
  X(OpenSource, "open source")           \
  X(ReadSource, "read source")           \
  X(ReadXattrs, "read source attributes") \
  X(CreateTemporary, "create temporary") \
  X(Write, "write")                      \
  X(Reopen, "reopen temporary")          \
  X(EnableVerity, "enable fs-verity")    \
  X(MeasureVerity, "measure fs-verity")  \
  X(MakeDirectory, "make directory")     \
  X(Link, "link")                        \
  X(OpenExisting, "open existing object") \
  X(ReadExisting, "read existing object") \
  X(Memory, "allocate memory")

enum class Step : uint8_t {
#define CFS_ENUM(name, text) name,
  CFS_INGEST_STEPS(CFS_ENUM)
#undef CFS_ENUM
};

/** How the content of a new object came to be. */
enum class How : uint8_t { Nothing = 0, Written = 1, Reflinked = 2, HardLinked = 3 };

/** The end of a step or of an object. */
struct Verdict {
  Status status = Status::Inline;
  Step step = Step::None;
  int error = 0;

  bool refused() const { return static_cast<uint8_t>(status) >= 16; }
  /** Of a hard link: not between these two files, not by this user, or not while somebody writes to the source. */
  bool isFailedLink() const { return status == Status::SystemCall && (step == Step::Link || step == Step::EnableVerity); }
  static Verdict system(Step step, int error) { return {Status::SystemCall, step, error}; }
};

}  // namespace cfs
