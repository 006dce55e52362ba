// One file object on its way into the store.
#pragma once

#include "archive-header.h"
#include "deflate.h"
#include "fs-verity.h"
#include "inflate.h"
#include "object-directory.h"
#include "sha256-streams.h"
#include "worker-pool.h"

namespace cfs {

/** Contents up to this are inflated and hashed whole, several at a time; larger ones pass through a window. */
constexpr size_t kSmallContentMax = 256 * 1024;
/** Contents that wait together for their fs-verity digests. */
constexpr size_t kArenaBytes = 1024 * 1024;
/** Fits the second-level cache beside zlib's state: inflating, two hashes and writing each pass over it. */
constexpr size_t kWindowBytes = 128 * 1024;

struct IngestSettings {
  ObjectDirectory directory;
  bool alsoSha256;
  const WorkerPool* pool = nullptr;
  /** Whose files may be hard-linked. */
  const uid_t user = ::geteuid();

  Algorithm algorithm() const { return directory.algorithm(); }
  /** Commit streams keep contents of at most 2·H bytes inline. */
  size_t inlineMax() const { return 2 * digestBytes(algorithm()); }
  /** Whether content of this size gets its sha256 fs-verity digest anyway, as its id. */
  bool idIsSha256(uint64_t contentBytes) const { return algorithm() == Algorithm::Sha256 && contentBytes > inlineMax(); }
  bool closing() const { return pool->closing(); }
};

/** What is known of one object; in the end what the caller gets. */
struct IngestRow {
  Verdict verdict{Status::Closed, Step::None, 0};
  How how = How::Nothing;
  uint64_t size = 0;
  uint8_t expected[kSha256Bytes] = {};
  /** Whether there is an expected checksum: not of adopted files. */
  bool checksumKnown = true;
  uint8_t found[kSha256Bytes] = {};
  uint8_t id[kMaxDigestBytes] = {};
  uint8_t sha256Id[kSha256Bytes] = {};
  /** Archive header with its prefix: in the caller's bytes or in `ownedHeader`. */
  Span header;
  OwnedBytes ownedHeader;
  size_t inlineBytes = 0;
  uint8_t inlineContent[2 * kMaxDigestBytes];

  void end(const Verdict& how) { verdict = how; }
  void end(Status status) { verdict = {status, Step::None, 0}; }
  /** After `found` was filled in. */
  bool hasRightChecksum() const { return !checksumKnown || std::memcmp(found, expected, kSha256Bytes) == 0; }
  void ownHeader() {
    ownedHeader.assign(header.data, header.data + header.size);
    header = {ownedHeader.data(), ownedHeader.size()};
  }
};

/** Scratch space and hashing contexts of one thread. */
class IngestWorker : public Worker {
 public:
  static std::unique_ptr<Worker> make() { return std::make_unique<IngestWorker>(); }

  MessageHasher& hasher(Algorithm algorithm) { return algorithm == Algorithm::Sha256 ? sha256Blocks : sha512Blocks; }
  VerityBatch& verity(Algorithm algorithm) { return algorithm == Algorithm::Sha256 ? sha256Verity : sha512Verity; }
  uint8_t* window();
  uint8_t* arena();

  Sha sha256{Algorithm::Sha256};
  MessageHasher sha256Blocks{Algorithm::Sha256, bestShaEngine()};
  MessageHasher sha512Blocks{Algorithm::Sha512, bestShaEngine()};
  VerityBatch sha256Verity{sha256Blocks};
  VerityBatch sha512Verity{sha512Blocks};
  WholeInflater inflater;
  Deflater deflater;
  OwnedBytes contentHeader;
  OwnedBytes input;

 private:
  std::unique_ptr<uint8_t[]> window_, arena_;
};

/**
 * Checks prefix and header at the start of an archive object. Sets row.header (in place) and row.size.
 * @param headerBytes prefix included
 */
Verdict readArchiveHeader(Span object, FileHeader& header, size_t& headerBytes, IngestRow& row);

/** A symlink is all header: compares its checksum and finishes the row. */
void finishSymlink(IngestWorker& worker, const FileHeader& header, IngestRow& row);

/** A local source file, and what it looked like before it was read. */
struct SourceFile {
  Fd fd;
  struct stat before = {};
  /** LocalChanged, unless size, content and inode times are as before. */
  Verdict unchanged() const;
};

/** How the content of an external object gets its place. */
struct Placement {
  How how = How::Written;
  /** Reflinked: holds the content already. */
  Temporary temporary;
  /** HardLinked: what gets a further name. */
  const SourceFile* source = nullptr;
};

/** Small contents that are hashed side by side: against their checksums, then for their names. */
class SmallGroup {
 public:
  SmallGroup(IngestWorker& worker, IngestSettings& settings) : worker_(worker), settings_(settings) {}
  /** Room for `size` + 1 bytes (at most kSmallContentMax + 1), valid until the next reserve() or flush(). */
  uint8_t* reserve(size_t size);
  /**
   * The content of `row`, written to where reserve() said. flush() finishes the row.
   * @param source of local content
   */
  void add(IngestRow& row, const FileHeader& header, size_t size, Placement placement = Placement(),
           std::unique_ptr<SourceFile> source = nullptr);
  void flush();

 private:
  struct Entry {
    IngestRow* row;
    Span content;
    Sha256Stream checksum;
    Placement placement;
    std::unique_ptr<SourceFile> source;
  };
  void compareChecksums();
  /** @return false: refused, row says why */
  static bool isRight(const Entry& entry);
  void measure();
  void nameEntry(Entry& entry);

  IngestWorker& worker_;
  IngestSettings& settings_;
  size_t used_ = 0;
  std::vector<Entry> entries_;
  std::vector<Sha256Piece> pieces_;
  std::vector<VerityItem> items_;
};

/** Content of any size, window by window: hashed, written, named. Not bound to a thread. */
class ContentSink {
 public:
  ContentSink(IngestSettings& settings, IngestRow& row) : settings_(settings), row_(row) {}
  /** @param placement with a temporary: the content is there already and only gets hashed */
  Verdict begin(Span contentHeader, uint64_t size, Placement placement = Placement());
  Verdict write(IngestWorker& worker, Span bytes);
  /** The same in two steps: checksum() is to be moved on by `bytes`, beside others. */
  Verdict writeUnsummed(IngestWorker& worker, Span bytes);
  Sha256Stream& checksum() { return sha256_; }
  /**
   * Compares the ostree checksum, then gives the content its name. Sets the row.
   * @param source has a last look taken at it, if given
   */
  void finish(IngestWorker& worker, const SourceFile* source = nullptr);
  uint64_t written() const { return written_; }

 private:
  bool external() const { return size_ > settings_.inlineMax(); }
  void name(IngestWorker& worker);

  IngestSettings& settings_;
  IngestRow& row_;
  uint64_t size_ = 0, written_ = 0;
  Sha256Stream sha256_;
  std::unique_ptr<VerityStream> verity_, alsoVerity_;
  Placement placement_;
};

/** An archive object that arrives in pieces. */
class ArchiveStream {
 public:
  ArchiveStream(IngestSettings& settings, IngestRow& row) : settings_(settings), row_(row), sink_(settings, row) {}
  /** @return false: refused, row says why */
  bool feed(IngestWorker& worker, Span bytes);
  void finish(IngestWorker& worker);

 private:
  enum class State { Header, Body, End, Refused };
  bool readHeader(IngestWorker& worker, Span& bytes);
  bool inflateSome(IngestWorker& worker, Span& bytes);
  bool refuse(const Verdict& verdict);

  IngestSettings& settings_;
  IngestRow& row_;
  State state_ = State::Header;
  FileHeader header_;
  Inflater inflater_;
  ContentSink sink_;
};

/** A whole `.filez` in memory. Small ones join the group. */
void ingestArchiveObject(IngestWorker& worker, IngestSettings& settings, SmallGroup& group, Span object, IngestRow& row);

/** Runs `body`; what it throws becomes the row's verdict. */
template <typename Body>
void guardRow(IngestRow& row, Body body) {
  try {
    body();
  } catch (const std::exception&) {  // bad_alloc; or OpenSSL, which fails for want of memory only
    row.end(Verdict::system(Step::Memory, ENOMEM));
  }
}

}  // namespace cfs
