// Writing the entries of a commit map, new ones and those of a base, in the order of their checksums: what
// src/formats/commit-map-writer.ts does, for maps with tens of thousands of entries that change a little.
#include <algorithm>

#include "addon.h"
#include "commit-map.h"
#include "js.h"

namespace cfs {

namespace {

constexpr uint32_t kNoObject = CommitMapView::kNoObject;

/** The first bytes of a digest decide the order of nearly all: four of them, for a million keys are there at a time. */
struct Key {
  uint32_t prefix;
  uint32_t number;
};

std::vector<Key> sortedKeys(Span digests, size_t digestBytes) {
  std::vector<Key> keys(digests.size / digestBytes);
  for (size_t i = 0; i < keys.size(); i++) keys[i] = {readBigEndian32(digests.data + i * digestBytes), static_cast<uint32_t>(i)};
  std::sort(keys.begin(), keys.end(), [&](const Key& a, const Key& b) {
    if (a.prefix != b.prefix) return a.prefix < b.prefix;
    return std::memcmp(digests.data + a.number * digestBytes, digests.data + b.number * digestBytes, digestBytes) < 0;
  });
  return keys;
}

/** What is new in the map. */
struct Added {
  Span checksums;
  /** For each: position of the data in units of 8, its length, number in `objects`; as in a data ref. */
  Span refs;
  Span data;
  Span objects;
};
/** What comes from another map. */
struct Base {
  CommitMapView map{Span{}};
  Span objects;
  /** One byte for each entry: whether it is taken over. */
  Span taken;
};

class EntryWriter {
 public:
  EntryWriter(Room content, Room objectRefs, size_t digestBytes, const Added& added, const Base& base)
      : content_(content), objectRefs_(objectRefs), digestBytes_(digestBytes), added_(added), base_(base),
        newNumbers_(added.objects.size / digestBytes, kNoObject), newBaseNumbers_(base.objects.size / digestBytes, kNoObject) {
    const auto isTaken = [](uint8_t taken) { return taken != 0; };
    const size_t taken = static_cast<size_t>(std::count_if(base.taken.data, base.taken.data + base.taken.size, isTaken));
    count_ = added.checksums.size / kSha256Bytes + taken;
    refsStart_ = CommitMapView::kChecksumsAt + kSha256Bytes * count_;
    areaStart_ = refsStart_ + CommitMapView::kRefBytes * count_;
    if (areaStart_ > content.size) throw TypeProblem{"content has no room for all entries"};
    if (taken > 0) objects_ = sortedKeys(added.objects, digestBytes);
  }

  /** @return number of entries in `objectRefs` */
  size_t write() {
    const std::vector<Key> order = sortedKeys(added_.checksums, kSha256Bytes);
    auto next = order.begin();
    for (size_t index = 0; index < base_.taken.size; index++) {
      if (base_.taken.data[index] == 0) continue;
      const uint8_t* checksum = base_.map.checksumAt(index);
      for (; next != order.end() && std::memcmp(addedChecksum(next->number), checksum, kSha256Bytes) < 0; ++next) writeAdded(next->number);
      writeTaken(index);
    }
    for (; next != order.end(); ++next) writeAdded(next->number);
    return objectCount_;
  }

 private:
  const uint8_t* addedChecksum(size_t number) const { return added_.checksums.data + kSha256Bytes * number; }

  void writeAdded(size_t number) {
    const uint8_t* ref = added_.refs.data + CommitMapView::kRefBytes * number;
    const uint64_t start = readLittleEndian(ref, 4) * CommitMapView::kAlignment;
    const uint64_t size = readLittleEndian(ref + 4, 4);
    const auto object = static_cast<uint32_t>(readLittleEndian(ref + 8, 4));
    if (start + size > added_.data.size) throw TypeProblem{"refs must be places in data"};
    writeEntry(addedChecksum(number), {added_.data.data + start, static_cast<size_t>(size)}, numberOf(object));
  }

  void writeTaken(size_t index) {
    Span data;
    if (!base_.map.dataAt(index, data)) throw TypeProblem{"base must be a commit map"};
    writeEntry(base_.map.checksumAt(index), data, numberOfBase(base_.map.objectNumberAt(index)));
  }

  void writeEntry(const uint8_t* checksum, Span data, uint32_t object) {
    std::memcpy(content_.data + CommitMapView::kChecksumsAt + kSha256Bytes * index_, checksum, kSha256Bytes);
    const uint64_t start = areaStart_ + CommitMapView::kAlignment * position_;
    if (start + data.size > content_.size) throw TypeProblem{"content has no room for all data"};
    if (data.size > 0) std::memcpy(content_.data + start, data.data, data.size);
    uint8_t* ref = content_.data + refsStart_ + CommitMapView::kRefBytes * index_++;
    writeLittleEndian(ref, position_, 4);
    writeLittleEndian(ref + 4, data.size, 4);
    writeLittleEndian(ref + 8, object, 4);
    position_ += (data.size + CommitMapView::kAlignment - 1) / CommitMapView::kAlignment;
  }

  uint32_t numberOf(uint32_t object) {
    if (object == kNoObject) return object;
    if (object >= newNumbers_.size()) throw TypeProblem{"refs must be numbers of objects"};
    if (newNumbers_[object] == kNoObject) newNumbers_[object] = addObject(added_.objects.data + object * digestBytes_);
    return newNumbers_[object];
  }

  /** The same of an object of the base. */
  uint32_t numberOfBase(uint32_t object) {
    if (object == kNoObject) return object;
    if (object >= newBaseNumbers_.size()) throw TypeProblem{"base must be a commit map of these objects"};
    uint32_t& known = newBaseNumbers_[object];
    if (known != kNoObject) return known;
    const uint8_t* digest = base_.objects.data + object * digestBytes_;
    const uint32_t same = findAdded(digest);
    known = same == kNoObject ? addObject(digest) : numberOf(same);
    return known;
  }

  /** Number of that digest among the added objects. */
  uint32_t findAdded(const uint8_t* digest) const {
    const uint32_t prefix = readBigEndian32(digest);
    auto key = std::lower_bound(objects_.begin(), objects_.end(), prefix, [](const Key& a, uint32_t b) { return a.prefix < b; });
    for (; key != objects_.end() && key->prefix == prefix; ++key)
      if (std::memcmp(added_.objects.data + key->number * digestBytes_, digest, digestBytes_) == 0) return key->number;
    return kNoObject;
  }

  uint32_t addObject(const uint8_t* digest) {
    const size_t at = objectCount_ * digestBytes_;
    if (at + digestBytes_ > objectRefs_.size) throw TypeProblem{"objectRefs has no room for all objects"};
    std::memcpy(objectRefs_.data + at, digest, digestBytes_);
    return static_cast<uint32_t>(objectCount_++);
  }

  const Room content_;
  const Room objectRefs_;
  const size_t digestBytes_;
  const Added& added_;
  const Base& base_;
  size_t count_ = 0, refsStart_ = 0, areaStart_ = 0;
  /** Those that were added, sorted. */
  std::vector<Key> objects_;
  /** What objects are called in the new map; kNoObject until the first entry uses one. */
  std::vector<uint32_t> newNumbers_, newBaseNumbers_;
  size_t index_ = 0, position_ = 0, objectCount_ = 0;
};

napi_value writeCommitMap(Call& call) {
  napi_env env = call.env();
  const size_t idBytes = digestBytes(call.algorithm(2));
  const auto part = [&](size_t index, const char* name) { return readBytes(env, property(env, call.value(index), name), name); };
  const Added added{part(3, "checksums"), part(3, "refs"), part(3, "data"), part(3, "objects")};
  const size_t count = added.checksums.size / kSha256Bytes;
  if (added.checksums.size != count * kSha256Bytes || added.refs.size != count * CommitMapView::kRefBytes)
    throw TypeProblem{"checksums and refs must be of the same entries"};
  Base base;
  if (call.has(4)) {
    base = {CommitMapView(part(4, "content")), part(4, "objectRefs"), part(4, "taken")};
    if (!base.map.isSound() || base.taken.size != base.map.count()) throw TypeProblem{"base must be a commit map"};
  }
  EntryWriter writer(call.room(0, "content"), call.room(1, "objectRefs"), idBytes, added, base);
  return makeNumber(env, static_cast<double>(writer.write()));
}

}  // namespace

void defineCommitMapWriter(napi_env env, napi_value exports) {
  const FunctionEntry functions[] = {{"writeCommitMap", entry<writeCommitMap>}};
  defineFunctions(env, exports, functions, std::size(functions));
}

}  // namespace cfs
