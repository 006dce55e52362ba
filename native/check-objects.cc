// Proving very many objects in one call: what is not right, or not certain, is left to a closer look.
#include "addon.h"
#include "columns.h"
#include "fanouts.h"
#include "file-hasher.h"
#include "js.h"
#include "largest-first.h"

namespace cfs {

namespace {

/** What a check says of an object. */
enum State : uint8_t { kNotProved = 0, kIntact = 1, kIntactWithVerity = 2 };

/** What else is known about objects: an ostree file each. Empty: nothing. */
struct Proofs {
  Span headers;
  std::vector<uint32_t> headerEnds;
  Span checksums;
  std::vector<double> sizes;

  Span header(size_t i) const { return headers.slice(i == 0 ? 0 : headerEnds[i - 1], headerEnds[i]); }
  Span checksum(size_t i) const { return checksums.slice(i * kSha256Bytes, (i + 1) * kSha256Bytes); }
};

class CheckObjectsJob : public Job {
 public:
  CheckObjectsJob(int root, Span ids, HashingPlan plan, Proofs proofs)
      : Job(ids.size / digestBytes(plan.algorithm)), plan_(plan), ids_(ids), proofs_(std::move(proofs)) {
    if (const int error = fanouts_.openAll(root)) throw SystemProblem{error, "open"};
    const size_t count = ids.size / digestBytes(plan.algorithm);
    states_.assign(count, kNotProved);
    sizes_.assign(count, 0);
    order_ = largestFirst(hasProofs() ? proofs_.sizes : sizes_);
  }

  void run(Worker& worker, size_t begin, size_t end) override {
    try {
      ShareHasher share(static_cast<IngestWorker&>(worker), plan_);
      std::vector<HashedFile> files(end - begin);
      for (size_t i = begin; i < end; i++) files[i - begin].error = hash(share, order_[i], files[i - begin]);
      share.flush();
      for (size_t i = begin; i < end; i++) judge(order_[i], files[i - begin]);
    } catch (const std::exception&) {
      // out of memory: these stay without proof
    }
  }

  void cancel(size_t, size_t) override {}

  napi_value settle(napi_env env) override {
    Columns columns(env, Columns::room(states_.size(), 1) + Columns::room(sizes_.size(), sizeof(double)));
    std::copy(states_.begin(), states_.end(), columns.add<uint8_t>("states", napi_uint8_array, states_.size()));
    std::copy(sizes_.begin(), sizes_.end(), columns.add<double>("sizes", napi_float64_array, sizes_.size()));
    return columns.object();
  }

 private:
  const uint8_t* idOf(size_t i) const { return ids_.data + i * digestBytes(plan_.algorithm); }
  bool hasProofs() const { return !proofs_.headerEnds.empty(); }

  /** @return 0 or errno */
  int hash(ShareHasher& share, size_t i, HashedFile& file) const {
    const int fanout = fanouts_.of(idOf(i));
    if (fanout < 0) return ENOENT;
    if (hasProofs()) file.headers.push_back(proofs_.header(i));
    const ObjectName name(idOf(i), digestBytes(plan_.algorithm));
    Fd fd(::openat(fanout, name.text, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    return fd.open() ? share.hashOpen(std::move(fd), file) : errno;
  }

  void judge(size_t i, const HashedFile& file) {
    if (file.error != 0 || std::memcmp(file.digest, idOf(i), digestBytes(plan_.algorithm)) != 0) return;
    if (file.hasVerity && !file.measured.is(plan_.algorithm, file.digest)) return;
    const auto size = static_cast<double>(file.size);
    if (hasProofs() && (size != proofs_.sizes[i] ||
                        std::memcmp(file.checksums.data(), proofs_.checksum(i).data, kSha256Bytes) != 0))
      return;
    sizes_[i] = size;
    states_[i] = file.hasVerity ? kIntactWithVerity : kIntact;
  }

  const HashingPlan plan_;
  const Span ids_;
  const Proofs proofs_;
  Fanouts fanouts_;
  /** The order that shares are taken in. */
  std::vector<size_t> order_;
  std::vector<uint8_t> states_;
  std::vector<double> sizes_;
};

template <typename Element>
std::vector<Element> readElements(napi_env env, napi_value object, const char* name, napi_typedarray_type wanted, size_t count) {
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(env, property(env, object, name), &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != wanted || length != count)
    throw TypeProblem{std::string(name) + " must be a typed array with an element for each object"};
  const auto* elements = static_cast<const Element*>(data);
  return std::vector<Element>(elements, elements + count);
}

Proofs readProofs(napi_env env, napi_value object, size_t count) {
  Proofs proofs;
  proofs.headers = readBytes(env, property(env, object, "headers"), "headers");
  proofs.headerEnds = readElements<uint32_t>(env, object, "headerEnds", napi_uint32_array, count);
  proofs.checksums = readBytes(env, property(env, object, "checksums"), "checksums");
  proofs.sizes = readElements<double>(env, object, "sizes", napi_float64_array, count);
  if (proofs.checksums.size != count * kSha256Bytes) throw TypeProblem{"checksums must have 32 bytes for each object"};
  uint32_t before = 0;
  for (const uint32_t end : proofs.headerEnds) {
    if (end < before || end > proofs.headers.size) throw TypeProblem{"headerEnds must be places in headers, in order"};
    before = end;
  }
  return proofs;
}

napi_value checkObjects(Call& call) {
  napi_env env = call.env();
  const std::string path = call.path(0);
  HashingPlan plan;
  plan.algorithm = call.algorithm(1);
  plan.pool = &commonPool(env);
  const Span ids = call.bytes(2, "ids");
  if (ids.size % digestBytes(plan.algorithm) != 0) throw TypeProblem{"ids must be whole digests"};
  Proofs proofs;
  if (call.has(3)) proofs = readProofs(env, call.value(3), ids.size / digestBytes(plan.algorithm));
  const Fd root(::open(path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!root.open()) throw SystemProblem{errno, "open"};
  auto job = std::make_shared<CheckObjectsJob>(root.get(), ids, plan, std::move(proofs));
  job->keep(env, call.value(2));
  if (call.has(3)) {
    job->keep(env, property(env, call.value(3), "headers"));
    job->keep(env, property(env, call.value(3), "checksums"));
  }
  return commonPool(env).submit(std::move(job));
}

napi_value proofKeys(Call& call) {
  const size_t idBytes = digestBytes(call.algorithm(0));
  const Span ids = call.bytes(1, "ids");
  if (ids.size % idBytes != 0) throw TypeProblem{"ids must be whole digests"};
  const size_t count = ids.size / idBytes;
  const Proofs proofs = readProofs(call.env(), call.value(2), count);
  std::vector<uint8_t> keys(count * kSha256Bytes);
  for (size_t i = 0; i < count; i++) {
    uint64_t size;
    static_assert(sizeof size == sizeof proofs.sizes[i]);
    std::memcpy(&size, &proofs.sizes[i], sizeof size);
    uint8_t sizeBytes[sizeof size];
    writeLittleEndian(sizeBytes, size, sizeof size);
    Sha256Stream key;
    for (const Span part : {Span{sizeBytes, sizeof size}, proofs.checksum(i), ids.slice(i * idBytes, (i + 1) * idBytes), proofs.header(i)})
      key.update(part);
    key.finish(keys.data() + i * kSha256Bytes);
  }
  return makeBytes(call.env(), {keys.data(), keys.size()});
}

}  // namespace

void defineCheckObjects(napi_env env, napi_value exports) {
  const FunctionEntry functions[] = {{"checkObjects", entry<checkObjects>}, {"proofKeys", entry<proofKeys>}};
  defineFunctions(env, exports, functions, std::size(functions));
}

}  // namespace cfs
