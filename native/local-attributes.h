// Owner, mode, attributes and link target of a loose object, as each repository mode keeps them.
#pragma once

#include <string>

#include "ingest-local.h"

namespace cfs {

/** A header whose parts it owns. */
struct LocalHeader {
  FileHeader header;
  OwnedBytes xattrs;
  std::string target;
};

/** A loose object that is a symlink in the file system (bare, bare-user-only, bare-split-xattrs). */
Verdict readSymlinkHeader(const LocalPlan& plan, const std::string& path, const std::string& xattrsPath, LocalHeader& result);
/**
 * A loose object that is a regular file. For bare-user it may describe a symlink: then `target` is its content.
 * @param source open, with `before` filled in
 */
Verdict readFileHeader(const LocalPlan& plan, const SourceFile& source, const std::string& xattrsPath, LocalHeader& result);

}  // namespace cfs
