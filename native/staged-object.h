// Objects on their way into an ostree repository of another program: written under a name of their own, checked, then named.
#pragma once

#include <string>

#include "ingest-object.h"
#include "ingest-local.h"

namespace cfs {

/** An external file keeps its content in a store object, an inline one behind its header. */
enum class StagedKind : uint8_t { InlineFile, ExternalFile, Dirtree, Dirmeta, Commit };
constexpr uint8_t kStagedKinds = 5;

/** What happened to one object. NotDone: nothing was left behind; the caller finds out why. */
enum class Staged : uint8_t { NotDone, Written, Present };

/** The directories, which the caller keeps open, and how the repository keeps files. */
struct StagingPlace {
  /** `objects` of our store. */
  int objects = -1;
  /** Laid out like `objects`, so that whole subdirectories can be published; only commits, which come last, lie in it themselves. */
  int staging = -1;
  /** `objects` of the ostree repository. */
  int target = -1;
  LocalMode mode = LocalMode::Archive;
  Algorithm algorithm = Algorithm::Sha512;
};

struct StagedObject {
  StagedKind kind = StagedKind::InlineFile;
  const uint8_t* checksum = nullptr;
  /** ExternalFile only. */
  const uint8_t* id = nullptr;
  /** Metadata as it is; of a file the archive header with its prefix, and inline content. */
  Span data;
  Staged result = Staged::NotDone;
  /** Content bytes, or compressed ones in an archive. */
  uint64_t bytes = 0;
};

/** Hashes, and writes under its staged name, unless it is there already. */
void stageObject(IngestWorker& worker, const StagingPlace& place, StagedObject& object);

/** Moves `xx` of the staging directory to the target, unless that has one. @return whether it did */
bool publishSubdirectory(const StagingPlace& place, uint8_t firstByte);

/** Moves it from its staged name to its place. The directory for it must be there. @return 0 or errno; 0 also if it was there before */
int publishStaged(const StagingPlace& place, StagedKind kind, const uint8_t* checksum);

/** `xx` of its place. @return 0 or errno */
int makeObjectDirectory(const StagingPlace& place, const uint8_t* checksum);

}  // namespace cfs
