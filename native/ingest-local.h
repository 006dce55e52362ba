// Loose file objects of an ostree repository on this machine, in the form that its mode keeps them.
#pragma once

#include <string>

#include "large-group.h"

namespace cfs {

enum class LocalMode : uint8_t { Archive, Bare, BareUser, BareUserOnly, BareSplitXattrs };
/** HardSealed: as Hard, and into a secure repository too, where the source itself gets fs-verity. */
enum class LinkMode : uint8_t { None, Reflink, Hard, HardSealed };

struct LocalPlan {
  LocalMode mode = LocalMode::Bare;
  LinkMode link = LinkMode::None;
  bool ignoreXattrs = false;
  /** The device whose files were last found not to be cloneable into our store. Shared by all threads of a job. */
  std::atomic<uint64_t> noCloneDevice{UINT64_MAX};
  /** What the files of the objects have in all: compressed in an archive, the target of a symlink. */
  std::atomic<uint64_t> sourceBytes{0};
};

/** `xx/yyyy….suffix` of a loose object, below the `objects` directory of its repository. */
std::string looseObjectPath(const std::string& objects, const uint8_t* checksum, const char* suffix);

/** Contents of one share of rows that wait for each other. */
class LocalGroups {
 public:
  LocalGroups(IngestWorker& worker, IngestSettings& settings) : small(worker, settings), large(worker, settings) {}
  SmallGroup small;
  LargeGroup large;
  void flush() {
    small.flush();
    large.flush();
  }
};

/** @param xattrsPath BareSplitXattrs only */
void ingestLocalObject(IngestWorker& worker, IngestSettings& settings, LocalGroups& groups, LocalPlan& plan, const std::string& path,
                       const std::string& xattrsPath, IngestRow& row);

/** A regular file whose content header (prefix included) the caller made. Its checksum is found, not compared. */
void adoptFile(IngestSettings& settings, LocalGroups& groups, LocalPlan& plan, const std::string& path,
               Span contentHeader, IngestRow& row);

}  // namespace cfs
