// Reading JavaScript arguments: what is missing or of another type is answered with ARGUMENT_INVALID and its
// name.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../core/error.h"
#include "setup.h"

namespace adjudge::arguments {

[[noreturn]] inline void refuse(std::string_view name, std::string_view expected) {
  throw Error("ARGUMENT_INVALID", std::string(name) + ": expected " + std::string(expected));
}

inline Napi::Object object(const Napi::Value& value, std::string_view name) {
  if (!value.IsObject()) refuse(name, "an object");
  return value.As<Napi::Object>();
}

inline std::string string(const Napi::Value& value, std::string_view name) {
  if (!value.IsString()) refuse(name, "a string");
  return value.As<Napi::String>().Utf8Value();
}

inline double number(const Napi::Value& value, std::string_view name) {
  if (!value.IsNumber()) refuse(name, "a number");
  double number = value.As<Napi::Number>().DoubleValue();
  if (!std::isfinite(number)) refuse(name, "a finite number");
  return number;
}

inline int64_t integer(const Napi::Value& value, std::string_view name, int64_t least, int64_t most) {
  double number = arguments::number(value, name);
  if (number != std::floor(number) || number < static_cast<double>(least) ||
      number > static_cast<double>(most)) {
    refuse(name, "a whole number from " + std::to_string(least) + " to " + std::to_string(most));
  }
  return static_cast<int64_t>(number);
}

// Undefined means false.
inline bool boolean(const Napi::Value& value, std::string_view name) {
  if (value.IsUndefined()) return false;
  if (!value.IsBoolean()) refuse(name, "true or false");
  return value.As<Napi::Boolean>().Value();
}

// Copies: a job must not depend on memory that JavaScript may detach.
inline std::vector<int32_t> int32s(const Napi::Value& value, std::string_view name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_int32_array) {
    refuse(name, "an Int32Array");
  }
  auto array = value.As<Napi::Int32Array>();
  return {array.Data(), array.Data() + array.ElementLength()};
}

inline std::vector<float> floats(const Napi::Value& value, std::string_view name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_float32_array) {
    refuse(name, "a Float32Array");
  }
  auto array = value.As<Napi::Float32Array>();
  return {array.Data(), array.Data() + array.ElementLength()};
}

inline std::vector<std::string> strings(const Napi::Value& value, std::string_view name) {
  if (!value.IsArray()) refuse(name, "an array of strings");
  auto array = value.As<Napi::Array>();
  std::vector<std::string> result;
  for (uint32_t index = 0; index < array.Length(); ++index) result.push_back(string(array.Get(index), name));
  return result;
}

// Offsets start at 0, never fall, and end at `end`.
inline void check_offsets(const std::vector<int32_t>& offsets, size_t end, std::string_view name) {
  bool good = !offsets.empty() && offsets.front() == 0 && static_cast<size_t>(offsets.back()) == end;
  for (size_t index = 1; good && index < offsets.size(); ++index) good = offsets[index] >= offsets[index - 1];
  if (!good)
    refuse(name, "ascending offsets from 0 to the number of tokens, one more than there are sequences");
}

// A Float32Array over the vector's own memory (no copy).
inline Napi::Value adopt(Napi::Env env, std::vector<float>&& values) {
  size_t length = values.size();
  if (length == 0) return Napi::Float32Array::New(env, 0);
  auto* kept = new std::vector<float>(std::move(values));
  auto buffer = Napi::ArrayBuffer::New(
      env, kept->data(), length * sizeof(float),
      [](Napi::Env, void*, std::vector<float>* hint) { delete hint; }, kept);
  return Napi::Float32Array::New(env, length, buffer, 0);
}

inline Napi::Value copy(Napi::Env env, const std::vector<int32_t>& values) {
  auto array = Napi::Int32Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

inline Napi::Value copy(Napi::Env env, const std::vector<float>& values) {
  auto array = Napi::Float32Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

}  // namespace adjudge::arguments
