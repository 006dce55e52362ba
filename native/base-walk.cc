// The walk through trees that a base commit knows, without JavaScript for each entry (src/operations/base-walk.ts).
#include <algorithm>

#include "addon.h"
#include "archive-header.h"
#include "columns.h"
#include "commit-map.h"
#include "dirtree.h"
#include "js.h"

namespace cfs {

namespace {

/** What an entry of the base was met as: the numbers of src/operations/met-objects.ts. */
enum Kind : uint8_t { kNotMet = 0, kDirtree = 1, kDirmeta = 2, kFile = 3 };

constexpr uint32_t kMaxTreeDepth = 1024;
/** Instead of a number, for the dirtree whose bytes were given. */
constexpr uint32_t kGivenBytes = 0xffffffff;

/** Entries of a directory that are looked up together. */
constexpr size_t kWindow = 64;

/** One for each entry of the map; `proved` a bit for each. */
struct Marks {
  uint8_t* kinds;
  uint8_t* taken;
  uint8_t* proved;
};

struct Item {
  uint32_t number;
  uint32_t depth;
};

class BaseWalk {
 public:
  BaseWalk(const CommitMapView& map, Marks marks) : map_(map), marks_(marks) {}

  /** Dirtree `number` of the base, and all below it. */
  void walk(uint32_t number, uint32_t depth) {
    pending_.push_back({number, depth});
    goOn();
  }

  /** A dirtree from elsewhere, and what the base has below it. It is not among `directories` when JavaScript must look at it again. */
  void walkBytes(Span bytes, uint32_t depth) {
    look(kGivenBytes, bytes, depth);
    goOn();
  }

  napi_value result(napi_env env) const {
    Columns columns(env, Columns::room(4, 8) + Columns::room(directories_.size(), 4) + Columns::room(dirmetas_.size(), 4) +
                             Columns::room(left_.size(), 4) + Columns::room(unknownFiles_.size(), 4) +
                             Columns::room(unknownDirectories_.size(), 4));
    auto* sums = columns.add<double>("sums", napi_float64_array, 4);
    sums[0] = metadata_;
    sums[1] = files_;
    sums[2] = bytes_;
    sums[3] = paddedBytes_;
    add(columns, "directories", directories_);
    add(columns, "dirmetas", dirmetas_);
    add(columns, "left", left_);
    add(columns, "unknownFiles", unknownFiles_);
    add(columns, "unknownDirectories", unknownDirectories_);
    return columns.object();
  }

 private:
  static void add(Columns& columns, const char* name, const std::vector<uint32_t>& values) {
    std::copy(values.begin(), values.end(), columns.add<uint32_t>(name, napi_uint32_array, values.size()));
  }

  void goOn() {
    while (!pending_.empty()) {
      const Item item = pending_.back();
      pending_.pop_back();
      Span bytes;
      if (item.depth <= kMaxTreeDepth && marks_.taken[item.number] == 0 && isMetadata(item.number, bytes) &&
          look(item.number, bytes, item.depth)) {
        take(item.number, bytes);
        metadata_++;
      } else {
        left_.insert(left_.end(), {item.number, item.depth});
      }
    }
  }

  /** Marks what the dirtree leads to. @return false when something about it is not as it should be: then perhaps only a part of it */
  bool look(uint32_t number, Span bytes, uint32_t depth) {
    if (!readDirtree(bytes, entries_)) return false;
    for (size_t begin = 0; begin < entries_.files.size(); begin += kWindow)
      if (!lookAtFiles(bytes, begin, std::min(entries_.files.size(), begin + kWindow), number == kGivenBytes)) return false;
    const size_t record = directories_.size();
    directories_.insert(directories_.end(), {number, static_cast<uint32_t>(entries_.files.size()), 0});
    for (const DirtreeEntry& entry : entries_.directories) {
      const int64_t dirtree = map_.find(bytes.data + entry.checksums);
      const int64_t dirmeta = map_.find(bytes.data + entry.checksums + kSha256Bytes);
      const bool isKnown = dirtree >= 0 && dirmeta >= 0;
      const bool isGood = isKnown ? meetDirectory(static_cast<uint32_t>(dirtree), static_cast<uint32_t>(dirmeta), depth + 1)
                                  : number == kGivenBytes;
      if (!isGood) {
        directories_.resize(record);
        return false;
      }
      if (isKnown) directories_.push_back(static_cast<uint32_t>(dirtree));
      else unknownDirectories_.push_back(static_cast<uint32_t>(entry.checksums));
    }
    directories_[record + 2] = static_cast<uint32_t>(directories_.size() - record - 3);
    return true;
  }

  /** Entries lie all over the map: memory that will be needed is asked for beforehand, for all of them at a time. */
  bool lookAtFiles(Span bytes, size_t begin, size_t end, bool mayBeUnknown) {
    const DirtreeEntry* const files = entries_.files.data();
    int64_t found[kWindow];
    for (size_t i = begin; i < end; i++) map_.prefetchSearch(bytes.data + files[i].checksums);
    for (size_t i = begin; i < end; i++) {
      found[i - begin] = map_.find(bytes.data + files[i].checksums);
      if (found[i - begin] >= 0) map_.prefetchRef(static_cast<size_t>(found[i - begin]));
    }
    for (size_t i = begin; i < end; i++)
      if (found[i - begin] >= 0) map_.prefetchData(static_cast<size_t>(found[i - begin]));
    for (size_t i = begin; i < end; i++) {
      const int64_t file = found[i - begin];
      if (file >= 0 ? !meetFile(static_cast<uint32_t>(file)) : !mayBeUnknown) return false;
      if (file < 0) unknownFiles_.push_back(static_cast<uint32_t>(files[i].checksums));
    }
    return true;
  }

  bool meetFile(uint32_t number) {
    if (marks_.kinds[number] != kNotMet) return marks_.kinds[number] == kFile;
    Span data;
    if (marks_.taken[number] != 0 || !isFile(number, data)) return false;
    marks_.kinds[number] = kFile;
    take(number, data);
    files_++;
    return true;
  }

  bool meetDirectory(uint32_t dirtree, uint32_t dirmeta, uint32_t depth) {
    uint8_t& treeKind = marks_.kinds[dirtree];
    uint8_t& metaKind = marks_.kinds[dirmeta];
    if ((treeKind != kNotMet && treeKind != kDirtree) || (metaKind != kNotMet && metaKind != kDirmeta) || dirtree == dirmeta) return false;
    if (metaKind == kNotMet) dirmetas_.insert(dirmetas_.end(), {dirmeta, depth});
    if (treeKind == kNotMet) pending_.push_back({dirtree, depth});
    metaKind = kDirmeta;
    treeKind = kDirtree;
    return true;
  }

  void take(uint32_t number, Span data) {
    marks_.taken[number] = 1;
    bytes_ += static_cast<double>(data.size);
    paddedBytes_ += static_cast<double>((data.size + CommitMapView::kAlignment - 1) / CommitMapView::kAlignment * CommitMapView::kAlignment);
  }

  /** With the bytes that its checksum names. */
  bool isMetadata(uint32_t number, Span& bytes) {
    return map_.objectNumberAt(number) == CommitMapView::kNoObject && map_.dataAt(number, bytes) && prove(number, {}, bytes);
  }

  /** A header, and where it is inlined the content that the checksum names; what is external is proved when it gets its name. */
  bool isFile(uint32_t number, Span& data) {
    FileHeader header;
    size_t headerBytes = 0;
    if (!map_.dataAt(number, data) || parsePrefix(data, headerBytes).refused()) return false;
    if (parseArchiveVariant(data.slice(kHeaderPrefix, headerBytes), header).refused()) return false;
    const Span content = data.from(headerBytes);
    if (map_.objectNumberAt(number) != CommitMapView::kNoObject) return content.size == 0 && header.size != 0;
    if (content.size != header.size) return false;
    if (isProved(number)) return true;
    serializeContentHeader(header, contentHeader_);
    return prove(number, {contentHeader_.data(), contentHeader_.size()}, content);
  }

  bool isProved(uint32_t number) const { return (marks_.proved[number >> 3] & (1 << (number & 7))) != 0; }

  bool prove(uint32_t number, Span head, Span tail) {
    if (isProved(number)) return true;
    uint8_t digest[kSha256Bytes];
    sha_.start();
    sha_.update(head);
    sha_.update(tail);
    sha_.finish(digest);
    if (std::memcmp(digest, map_.checksumAt(number), kSha256Bytes) != 0) return false;
    marks_.proved[number >> 3] |= static_cast<uint8_t>(1 << (number & 7));
    return true;
  }

  const CommitMapView& map_;
  const Marks marks_;
  Sha sha_{Algorithm::Sha256};
  std::vector<Item> pending_;
  DirtreeEntries entries_;
  OwnedBytes contentHeader_;
  double metadata_ = 0, files_ = 0, bytes_ = 0, paddedBytes_ = 0;
  std::vector<uint32_t> directories_, dirmetas_, left_, unknownFiles_, unknownDirectories_;
};

uint8_t* marksOf(Call& call, size_t index, const char* name, size_t count) {
  const Room marks = call.room(index, name);
  if (marks.size != count) throw TypeProblem{std::string(name) + " must have a place for each entry of the map"};
  return marks.data;
}

napi_value walkBase(Call& call) {
  const CommitMapView map(call.bytes(0, "map"));
  if (!map.isSound()) throw TypeProblem{"map must be a commit map"};
  const Marks marks{marksOf(call, 1, "kinds", map.count()), marksOf(call, 2, "taken", map.count()),
                    marksOf(call, 3, "proved", (map.count() + 7) / 8)};
  const uint32_t depth = call.number(5, "depth");
  BaseWalk walk(map, marks);
  if (call.isNumber(4)) {
    const uint32_t number = call.number(4, "dirtree");
    if (number >= map.count()) throw TypeProblem{"there is no such entry in the map"};
    walk.walk(number, depth);
  } else {
    walk.walkBytes(call.bytes(4, "dirtree"), depth);
  }
  return walk.result(call.env());
}

}  // namespace

void defineBaseWalk(napi_env env, napi_value exports) {
  const FunctionEntry functions[] = {{"walkBase", entry<walkBase>}};
  defineFunctions(env, exports, functions, std::size(functions));
}

}  // namespace cfs
