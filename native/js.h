// A thin layer over Node-API: arguments are checked, failures become JavaScript exceptions.
#pragma once

#include <node_api.h>

#include <string>
#include <vector>

#include "bytes.h"
#include "sha.h"

namespace cfs {

/** A Node-API call failed; perhaps a JavaScript exception is pending already. */
struct JavaScriptFailure {};
struct TypeProblem {
  std::string message;
};
/** A failed system call, thrown as Node throws them. */
struct SystemProblem {
  int error;
  const char* call;
};
struct ErrorToThrow {
  const char* code;
  std::string message;
};

void check(napi_env env, napi_status status);

/** Runs `body`, which throws one of the above, and leaves a JavaScript exception behind if it did. */
template <typename Body>
napi_value guarded(napi_env env, Body body);
/** Called inside a catch block: the JavaScript error for the exception in flight. */
napi_value currentError(napi_env env);

/** Memory of the caller's, lent for the call and to be written to. */
struct Room {
  uint8_t* data;
  size_t size;
};

/** The arguments of one call. */
class Call {
 public:
  Call(napi_env env, napi_callback_info info);
  napi_env env() const { return env_; }
  napi_value self() const { return self_; }
  bool has(size_t index) const;
  napi_value value(size_t index) const { return values_[index]; }

  int fd(size_t index) const;
  /** A whole number of 32 bits. */
  uint32_t number(size_t index, const char* name) const;
  std::string text(size_t index, const char* name) const;
  std::string path(size_t index) const;
  bool isNumber(size_t index) const;
  Span bytes(size_t index, const char* name) const;
  Room room(size_t index, const char* name) const;
  Algorithm algorithm(size_t index) const;

 private:
  static constexpr size_t kMostArguments = 6;
  napi_env env_;
  size_t count_ = kMostArguments;
  napi_value values_[kMostArguments];
  napi_value self_;
};

template <napi_value (*function)(Call&)>
napi_value entry(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Call call(env, info);
    return function(call);
  });
}

// reading values
std::string readText(napi_env env, napi_value value, const char* name);
/** One byte per character. */
std::string readByteString(napi_env env, napi_value value, const char* name);
std::string readPath(napi_env env, napi_value value);
std::vector<std::string> readPaths(napi_env env, napi_value value, const char* name);
Span readBytes(napi_env env, napi_value value, const char* name);
std::vector<Span> readByteArrays(napi_env env, napi_value value, const char* name);
uint32_t readArrayLength(napi_env env, napi_value value, const char* name);
Algorithm readAlgorithm(napi_env env, napi_value value);
bool isUndefined(napi_env env, napi_value value);
/** undefined and missing objects included. */
napi_value property(napi_env env, napi_value object, const char* name);
bool readFlag(napi_env env, napi_value object, const char* name);

// making values
napi_value makeNumber(napi_env env, double value);
napi_value makeText(napi_env env, const std::string& text);
napi_value makeByteString(napi_env env, const std::string& bytes);
napi_value makeBytes(napi_env env, Span bytes);
napi_value makeBoolean(napi_env env, bool value);
napi_value makeNull(napi_env env);
napi_value makeUndefined(napi_env env);
void setProperty(napi_env env, napi_value object, const char* name, napi_value value);
napi_value systemError(napi_env env, int error, const char* call);

/** Resolves with what `make` returns, or rejects with what it throws. */
template <typename Make>
void settlePromise(napi_env env, napi_deferred deferred, Make make) {
  napi_value error = nullptr;
  try {
    napi_value value = make();
    napi_resolve_deferred(env, deferred, value);
    return;
  } catch (...) {
    error = currentError(env);
  }
  if (error != nullptr) napi_reject_deferred(env, deferred, error);
}

template <typename Body>
napi_value guarded(napi_env env, Body body) {
  try {
    return body();
  } catch (...) {
    napi_value error = currentError(env);
    if (error != nullptr) napi_throw(env, error);
    return nullptr;
  }
}

struct FunctionEntry {
  const char* name;
  napi_callback callback;
};
void defineFunctions(napi_env env, napi_value exports, const FunctionEntry* entries, size_t count);

}  // namespace cfs
