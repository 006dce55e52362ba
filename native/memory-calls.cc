// The C library's allocator, told how this process uses memory.
#include <cstdlib>  // says whether this is glibc
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "addon.h"
#include "js.h"

namespace cfs {

namespace {

/**
 * Node reads sockets into buffers of this size that live for an instant. Carved out of the common heap they are soon in pieces, each held
 * by something small that lives on; mapped on their own they leave nothing behind.
 */
constexpr int kMapFromBytes = 64 * 1024;
/** Of free memory at the end of the heap, so much is kept. */
constexpr int kKeepBytes = 256 * 1024;
/** One heap for the main thread and one for all others, which allocate next to nothing. */
constexpr int kArenas = 2;

napi_value keepMemorySmallCall(Call& call) {
#ifdef __GLIBC__
  const bool done = ::mallopt(M_MMAP_THRESHOLD, kMapFromBytes) == 1 && ::mallopt(M_TRIM_THRESHOLD, kKeepBytes) == 1 &&
                    ::mallopt(M_ARENA_MAX, kArenas) == 1;
  return makeBoolean(call.env(), done);
#else
  return makeBoolean(call.env(), false);
#endif
}

}  // namespace

void defineMemoryCalls(napi_env env, napi_value exports) {
  const FunctionEntry functions[] = {{"keepMemorySmall", entry<keepMemorySmallCall>}};
  defineFunctions(env, exports, functions, std::size(functions));
}

}  // namespace cfs
