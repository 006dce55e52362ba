// Large contents of local files: read a window at a time, several files side by side.
#pragma once

#include "file-windows.h"

namespace cfs {

class LargeGroup {
 public:
  LargeGroup(IngestWorker& worker, IngestSettings& settings) : worker_(worker), settings_(settings) {}
  /** flush() finishes the row. @param size of the content, as the source had it when it was opened */
  void add(IngestRow& row, const FileHeader& header, uint64_t size, Placement placement, std::unique_ptr<SourceFile> source);
  /** Reads into the arena: no small content may wait there. */
  void flush();

 private:
  struct File {
    IngestRow* row;
    uint64_t size;
    OwnedBytes contentHeader;
    Placement placement;
    std::unique_ptr<SourceFile> source;
    /** While it is under way. */
    std::unique_ptr<ContentSink> sink = nullptr;
    int from = -1;
    bool hardLinked = false;
    Span window = {};
  };
  Verdict begin(File& file);
  /** @return false: refused, row says why */
  bool read(File& file, uint8_t* window, Sha256Pieces& pieces);
  /** After its checksum has the window. @return false: the row is finished */
  bool write(File& file);
  /** @return whether it has to be done once more, as a copy */
  bool finish(File& file);

  IngestWorker& worker_;
  IngestSettings& settings_;
  std::vector<File> files_;
};

}  // namespace cfs
