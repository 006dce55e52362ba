// Inflating with a chosen engine, for tests that hold one against the other.
#include <cstring>
#include <memory>

#include "addon.h"
#include "inflate.h"
#include "js.h"

namespace cfs {

namespace {

const char* nameOf(WholeResult result) {
  switch (result) {
    case WholeResult::Exact: return "exact";
    case WholeResult::Damaged: return "damaged";
    case WholeResult::Truncated: return "truncated";
    case WholeResult::SizeDiffers: return "sizeDiffers";
    case WholeResult::TrailingBytes: return "trailingBytes";
  }
  return "";
}

napi_value inflateWith(Call& call) {
  const std::string engine = call.text(0, "engine");
  if (engine != "zlib" && engine != inflateEngine()) throw ErrorToThrow{"ERR_CFS_ENGINE", "this build has no such engine"};
  const Span body = call.bytes(1, "body");
  const Room room = call.room(2, "out");
  if (room.size == 0) throw TypeProblem{"out must have room for one byte more than the content"};
  const auto content = std::make_unique<uint8_t[]>(room.size);
  WholeInflater inflater;
  const size_t size = room.size - 1;
  const WholeResult result =
      engine == "zlib" ? inflater.inflateByZlib(body, content.get(), size) : inflater.inflate(body, content.get(), size);
  if (result == WholeResult::Exact) std::memcpy(room.data, content.get(), size);
  return makeText(call.env(), nameOf(result));
}

}  // namespace

void defineInflate(napi_env env, napi_value exports) {
  const FunctionEntry functions[] = {{"inflateWith", entry<inflateWith>}};
  defineFunctions(env, exports, functions, std::size(functions));
}

}  // namespace cfs
