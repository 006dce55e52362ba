// Results as columns: typed arrays over one ArrayBuffer.
#pragma once

#include "js.h"

namespace cfs {

class Columns {
 public:
  /** Room for everything: alignment costs up to 8 bytes per column. */
  Columns(napi_env env, size_t bytes) : env_(env) {
    check(env, napi_create_arraybuffer(env, bytes, &data_, &buffer_));
    check(env, napi_create_object(env, &object_));
  }
  static size_t room(size_t elements, size_t elementBytes) { return elements * elementBytes + 8; }

  /** The new column's memory, zero at first. */
  template <typename Element>
  Element* add(const char* name, napi_typedarray_type type, size_t elements) {
    at_ = (at_ + 7) / 8 * 8;
    napi_value array;
    check(env_, napi_create_typedarray(env_, type, elements, buffer_, at_, &array));
    setProperty(env_, object_, name, array);
    auto* column = reinterpret_cast<Element*>(static_cast<uint8_t*>(data_) + at_);
    at_ += elements * sizeof(Element);
    return column;
  }
  napi_value object() const { return object_; }

 private:
  napi_env env_;
  void* data_ = nullptr;
  napi_value buffer_ = nullptr;
  napi_value object_ = nullptr;
  size_t at_ = 0;
};

}  // namespace cfs
