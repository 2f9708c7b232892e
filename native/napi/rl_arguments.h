// Reading a record and typed arrays in the RL kernels' arguments: what is missing or of another type is
// answered with ARGUMENT_INVALID and its name.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <type_traits>
#include <utility>

#include "../core/error.h"
#include "jobs.h"
#include "setup.h"

namespace adjudge::rl_arguments {

[[noreturn]] inline void invalid(const std::string& name, const std::string& expected) {
  throw Error{"ARGUMENT_INVALID", name + ": expected " + expected};
}

inline bool absent(const Napi::Value& value) { return value.IsUndefined() || value.IsNull(); }

// null and a missing key mean `otherwise`.
inline double number(const Napi::Object& object, const char* name, double otherwise) {
  const Napi::Value value = object.Get(name);
  if (absent(value)) return otherwise;
  if (!value.IsNumber()) invalid(name, "a number");
  return value.As<Napi::Number>().DoubleValue();
}

inline bool boolean(const Napi::Object& object, const char* name, bool otherwise) {
  const Napi::Value value = object.Get(name);
  if (absent(value)) return otherwise;
  if (!value.IsBoolean()) invalid(name, "true or false");
  return value.As<Napi::Boolean>().Value();
}

template <typename Choice>
Choice choice(const Napi::Object& object, const char* name,
              std::initializer_list<std::pair<const char*, Choice>> choices) {
  const Napi::Value value = object.Get(name);
  const std::string text = value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
  for (const auto& [word, meaning] : choices) {
    if (text == word) return meaning;
  }
  std::string words;
  for (const auto& entry : choices) words += (words.empty() ? "" : ", ") + std::string(entry.first);
  invalid(name, "one of " + words);
}

inline Napi::Object part(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsObject()) invalid(name, "an object");
  return value.As<Napi::Object>();
}

template <typename Float>
constexpr napi_typedarray_type float_type = sizeof(Float) == 4 ? napi_float32_array : napi_float64_array;

template <typename Element>
constexpr napi_typedarray_type array_type() {
  if constexpr (std::is_same_v<Element, std::uint8_t>) return napi_uint8_array;
  if constexpr (std::is_same_v<Element, std::int32_t>) return napi_int32_array;
  return float_type<Element>;
}

// The data of an optional typed array, its length checked. Null where absent.
template <typename Element>
const Element* data(const Napi::Object& object, const char* name, std::size_t length) {
  const Napi::Value value = object.Get(name);
  if (absent(value)) return nullptr;
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != array_type<Element>()) {
    invalid(name, "a typed array of the call's element type");
  }
  const auto array = value.As<Napi::TypedArrayOf<Element>>();
  if (array.ElementLength() != length) {
    invalid(name, std::to_string(length) + " elements and not " + std::to_string(array.ElementLength()));
  }
  return array.Data();
}

template <typename Element>
const Element* required(const Napi::Object& object, const char* name, std::size_t length) {
  if (absent(object.Get(name))) invalid(name, "a typed array");
  return data<Element>(object, name, length);
}

inline std::size_t length_of(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  return value.IsTypedArray() ? value.As<Napi::TypedArray>().ElementLength() : 0;
}

inline bool is_double(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsTypedArray()) invalid(name, "a Float32Array or Float64Array");
  const auto type = value.As<Napi::TypedArray>().TypedArrayType();
  if (type != napi_float32_array && type != napi_float64_array)
    invalid(name, "a Float32Array or Float64Array");
  return type == napi_float64_array;
}

// Boundaries of ranges: 0 first, never falling. Returns the number of ranges.
inline std::size_t offsets(const Napi::Object& object, const char* name, const std::int32_t*& values) {
  const std::size_t length = length_of(object, name);
  if (length == 0) invalid(name, "an Int32Array that starts with 0");
  values = required<std::int32_t>(object, name, length);
  if (values[0] != 0) invalid(name, "0 as its first element");
  for (std::size_t i = 1; i < length; ++i) {
    if (values[i] < values[i - 1])
      invalid(name, "elements that never fall (index " + std::to_string(i) + ")");
  }
  return length - 1;
}

template <typename Float, typename Values>
Napi::TypedArrayOf<Float> array_of(Napi::Env env, const Values& values) {
  auto array = Napi::TypedArrayOf<Float>::New(env, values.size(), float_type<Float>);
  for (std::size_t i = 0; i < values.size(); ++i) array[i] = static_cast<Float>(values[i]);
  return array;
}

using Kernel = Napi::Value (*)(Napi::Env, const Napi::Object&, const Napi::Object&);

// One JavaScript function (rule, input).
template <typename Body>
void set_function(Napi::Env env, Napi::Object exports, const char* name, Body body) {
  exports.Set(name, Napi::Function::New(
                        env,
                        [body](const Napi::CallbackInfo& info) {
                          return guarded(info.Env(), [&]() -> Napi::Value {
                            if (info.Length() < 2 || !info[0].IsObject() || !info[1].IsObject()) {
                              invalid("arguments", "a rule and an input, both objects");
                            }
                            return body(info.Env(), info[0].As<Napi::Object>(), info[1].As<Napi::Object>());
                          });
                        },
                        name));
}

// The same, for floating arrays of either type: the array `key` decides between the two element types.
inline void set_kernel(Napi::Env env, Napi::Object exports, const char* name, const char* key, Kernel single,
                       Kernel dual) {
  set_function(env, exports, name,
               [key, single, dual](Napi::Env call, const Napi::Object& rule, const Napi::Object& input) {
                 return (is_double(input, key) ? dual : single)(call, rule, input);
               });
}

}  // namespace adjudge::rl_arguments
