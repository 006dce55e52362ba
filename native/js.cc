#include "js.h"

#include <cmath>
#include <new>
#include <stdexcept>

#include "node-symbols.h"

namespace cfs {

namespace {

napi_value makeError(napi_env env, const std::string& message, const char* code,
                     napi_status (*create)(napi_env, napi_value, napi_value, napi_value*)) {
  napi_value text, codeText = nullptr, error;
  if (napi_create_string_utf8(env, message.data(), message.size(), &text) != napi_ok) return nullptr;
  if (code != nullptr && napi_create_string_utf8(env, code, NAPI_AUTO_LENGTH, &codeText) != napi_ok) return nullptr;
  return create(env, codeText, text, &error) == napi_ok ? error : nullptr;
}

std::string must(const char* name, const char* be) { return std::string(name) + " must be " + be; }

}  // namespace

void check(napi_env env, napi_status status) {
  (void)env;
  if (status != napi_ok) throw JavaScriptFailure{};
}

napi_value systemError(napi_env env, int error, const char* call) {
  const std::string name = uv_err_name(-error);
  napi_value value = makeError(env, name + ": " + uv_strerror(-error) + ", " + call, name.c_str(), napi_create_error);
  if (value == nullptr) return nullptr;
  setProperty(env, value, "errno", makeNumber(env, -error));
  setProperty(env, value, "syscall", makeText(env, call));
  return value;
}

napi_value currentError(napi_env env) {
  try {
    throw;
  } catch (const JavaScriptFailure&) {
    bool pending = false;
    napi_value error = nullptr;
    if (napi_is_exception_pending(env, &pending) == napi_ok && pending)
      return napi_get_and_clear_last_exception(env, &error) == napi_ok ? error : nullptr;
    return makeError(env, "the JavaScript engine refused a call of the native addon", "ERR_CFS_NATIVE", napi_create_error);
  } catch (const TypeProblem& problem) {
    return makeError(env, problem.message, "ERR_INVALID_ARG_TYPE", napi_create_type_error);
  } catch (const SystemProblem& problem) {
    return systemError(env, problem.error, problem.call);
  } catch (const ErrorToThrow& problem) {
    return makeError(env, problem.message, problem.code, napi_create_error);
  } catch (const std::bad_alloc&) {
    return systemError(env, ENOMEM, "malloc");
  } catch (const std::exception& problem) {
    return makeError(env, problem.what(), "ERR_CFS_NATIVE", napi_create_error);
  }
}

Call::Call(napi_env env, napi_callback_info info) : env_(env) {
  check(env, napi_get_cb_info(env, info, &count_, values_, &self_, nullptr));
}

bool Call::has(size_t index) const { return index < count_ && !isUndefined(env_, values_[index]); }

bool Call::isNumber(size_t index) const {
  napi_valuetype type;
  check(env_, napi_typeof(env_, values_[index], &type));
  return type == napi_number;
}

int Call::fd(size_t index) const {
  double value = -1;
  if (!isNumber(index) || napi_get_value_double(env_, values_[index], &value) != napi_ok || value != std::floor(value) || value < 0 ||
      value > 0x7fffffff)
    throw TypeProblem{must("fd", "a descriptor")};
  return static_cast<int>(value);
}

uint32_t Call::number(size_t index, const char* name) const {
  double value = -1;
  if (!isNumber(index) || napi_get_value_double(env_, values_[index], &value) != napi_ok || value != std::floor(value) || value < 0 ||
      value > 0xffffffff)
    throw TypeProblem{must(name, "a whole number of 32 bits")};
  return static_cast<uint32_t>(value);
}

std::string Call::text(size_t index, const char* name) const { return readText(env_, values_[index], name); }
std::string Call::path(size_t index) const { return readPath(env_, values_[index]); }
Span Call::bytes(size_t index, const char* name) const { return readBytes(env_, values_[index], name); }

Room Call::room(size_t index, const char* name) const {
  const Span lent = bytes(index, name);
  return {const_cast<uint8_t*>(lent.data), lent.size};
}
Algorithm Call::algorithm(size_t index) const { return readAlgorithm(env_, values_[index]); }

bool isUndefined(napi_env env, napi_value value) {
  napi_valuetype type;
  check(env, napi_typeof(env, value, &type));
  return type == napi_undefined;
}

std::string readText(napi_env env, napi_value value, const char* name) {
  size_t bytes = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &bytes) != napi_ok) throw TypeProblem{must(name, "a string")};
  std::string text(bytes + 1, '\0');
  check(env, napi_get_value_string_utf8(env, value, text.data(), text.size(), &bytes));
  text.resize(bytes);
  if (text.find('\0') != std::string::npos) throw TypeProblem{must(name, "free of NUL")};
  return text;
}

std::string readByteString(napi_env env, napi_value value, const char* name) {
  size_t bytes = 0;
  if (napi_get_value_string_latin1(env, value, nullptr, 0, &bytes) != napi_ok) throw TypeProblem{must(name, "a string")};
  std::string text(bytes + 1, '\0');
  check(env, napi_get_value_string_latin1(env, value, text.data(), text.size(), &bytes));
  text.resize(bytes);
  if (text.find('\0') != std::string::npos) throw TypeProblem{must(name, "free of NUL")};
  return text;
}

Span readBytes(napi_env env, napi_value value, const char* name) {
  bool typed = false;
  check(env, napi_is_typedarray(env, value, &typed));
  napi_typedarray_type type = napi_int8_array;
  void* data = nullptr;
  size_t size = 0;
  if (typed) check(env, napi_get_typedarray_info(env, value, &type, &size, &data, nullptr, nullptr));
  if (type != napi_uint8_array) throw TypeProblem{must(name, "a Uint8Array")};
  return {static_cast<const uint8_t*>(data), size};
}

std::string readPath(napi_env env, napi_value value) {
  napi_valuetype type;
  check(env, napi_typeof(env, value, &type));
  if (type == napi_string) return readText(env, value, "path");
  const Span bytes = readBytes(env, value, "path");
  std::string path(reinterpret_cast<const char*>(bytes.data), bytes.size);
  if (path.find('\0') != std::string::npos) throw TypeProblem{must("path", "free of NUL")};
  return path;
}

uint32_t readArrayLength(napi_env env, napi_value value, const char* name) {
  bool isArray = false;
  check(env, napi_is_array(env, value, &isArray));
  if (!isArray) throw TypeProblem{must(name, "an array")};
  uint32_t length = 0;
  check(env, napi_get_array_length(env, value, &length));
  return length;
}

std::vector<std::string> readPaths(napi_env env, napi_value value, const char* name) {
  std::vector<std::string> paths(readArrayLength(env, value, name));
  for (size_t i = 0; i < paths.size(); i++) {
    napi_value element;
    check(env, napi_get_element(env, value, static_cast<uint32_t>(i), &element));
    paths[i] = readPath(env, element);
  }
  return paths;
}

std::vector<Span> readByteArrays(napi_env env, napi_value value, const char* name) {
  std::vector<Span> spans(readArrayLength(env, value, name));
  for (size_t i = 0; i < spans.size(); i++) {
    napi_value element;
    check(env, napi_get_element(env, value, static_cast<uint32_t>(i), &element));
    spans[i] = readBytes(env, element, name);
  }
  return spans;
}

Algorithm readAlgorithm(napi_env env, napi_value value) {
  const std::string text = readText(env, value, "algorithm");
  if (text == "sha256") return Algorithm::Sha256;
  if (text == "sha512") return Algorithm::Sha512;
  throw TypeProblem{must("algorithm", "sha256 or sha512")};
}

napi_value property(napi_env env, napi_value object, const char* name) {
  napi_valuetype type;
  check(env, napi_typeof(env, object, &type));
  if (type == napi_undefined) return object;
  if (type != napi_object) throw TypeProblem{must("options", "an object")};
  napi_value value;
  check(env, napi_get_named_property(env, object, name, &value));
  return value;
}

bool readFlag(napi_env env, napi_value object, const char* name) {
  napi_value value = property(env, object, name);
  if (isUndefined(env, value)) return false;
  bool flag = false;
  if (napi_get_value_bool(env, value, &flag) != napi_ok) throw TypeProblem{must(name, "a boolean")};
  return flag;
}

napi_value makeNumber(napi_env env, double value) {
  napi_value result;
  check(env, napi_create_double(env, value, &result));
  return result;
}

napi_value makeText(napi_env env, const std::string& text) {
  napi_value result;
  check(env, napi_create_string_utf8(env, text.data(), text.size(), &result));
  return result;
}

napi_value makeByteString(napi_env env, const std::string& bytes) {
  napi_value result;
  check(env, napi_create_string_latin1(env, bytes.data(), bytes.size(), &result));
  return result;
}

napi_value makeBytes(napi_env env, Span bytes) {
  void* data = nullptr;
  napi_value buffer, result;
  check(env, napi_create_arraybuffer(env, bytes.size, &data, &buffer));
  if (bytes.size != 0) std::memcpy(data, bytes.data, bytes.size);
  check(env, napi_create_typedarray(env, napi_uint8_array, bytes.size, buffer, 0, &result));
  return result;
}

napi_value makeBoolean(napi_env env, bool value) {
  napi_value result;
  check(env, napi_get_boolean(env, value, &result));
  return result;
}

napi_value makeNull(napi_env env) {
  napi_value result;
  check(env, napi_get_null(env, &result));
  return result;
}

napi_value makeUndefined(napi_env env) {
  napi_value result;
  check(env, napi_get_undefined(env, &result));
  return result;
}

void setProperty(napi_env env, napi_value object, const char* name, napi_value value) {
  check(env, napi_set_named_property(env, object, name, value));
}

void defineFunctions(napi_env env, napi_value exports, const FunctionEntry* entries, size_t count) {
  for (size_t i = 0; i < count; i++) {
    napi_value function;
    check(env, napi_create_function(env, entries[i].name, NAPI_AUTO_LENGTH, entries[i].callback, nullptr, &function));
    setProperty(env, exports, entries[i].name, function);
  }
}

}  // namespace cfs
