// Replay sampling for JavaScript. The sum tree lies in two Float64Arrays of the caller, so that its memory is
// counted, and its state saved, by JavaScript.
#include "../rl/replay.h"

#include <cmath>
#include <cstring>

#include "rl_arguments.h"

namespace adjudge {
namespace {

using namespace rl_arguments;

// A typed array of the input to be written.
template <typename Element>
Element* writable(const Napi::Object& input, const char* name, std::size_t length) {
  return const_cast<Element*>(required<Element>(input, name, length));
}

std::size_t natural(const Napi::Object& input, const char* name) {
  const double value = number(input, name, -1);
  if (!(value >= 0 && value <= 9007199254740991.0 && value == std::floor(value))) {
    invalid(name, "a whole number, at least 0");
  }
  return static_cast<std::size_t>(value);
}

rl::SumTree tree_of(const Napi::Object& input) {
  const std::size_t capacity = natural(input, "capacity");
  return {capacity, writable<double>(input, "sums", rl::SumTree::sums_length(capacity)),
          writable<double>(input, "minima", rl::SumTree::minima_length(capacity))};
}

rl::ReplaySampling sampling_of(const Napi::Object& rule) {
  return choice<rl::ReplaySampling>(
      rule, "sampling",
      {{"independent", rl::ReplaySampling::independent}, {"stratified", rl::ReplaySampling::stratified}});
}

rl::ReplayNormalization normalization_of(const Napi::Object& rule) {
  return choice<rl::ReplayNormalization>(rule, "normalization",
                                         {{"batch", rl::ReplayNormalization::batch},
                                          {"buffer", rl::ReplayNormalization::buffer},
                                          {"none", rl::ReplayNormalization::none}});
}

Napi::Value tree_lengths(Napi::Env env, const Napi::Object&, const Napi::Object& input) {
  const std::size_t capacity = natural(input, "capacity");
  Napi::Object out = Napi::Object::New(env);
  out.Set("sums", static_cast<double>(rl::SumTree::sums_length(capacity)));
  out.Set("minima", static_cast<double>(rl::SumTree::minima_length(capacity)));
  return out;
}

Napi::Value tree_rebuild(Napi::Env env, const Napi::Object&, const Napi::Object& input) {
  tree_of(input).rebuild();
  return env.Undefined();
}

Napi::Value tree_total(Napi::Env env, const Napi::Object&, const Napi::Object& input) {
  return Napi::Number::New(env, tree_of(input).total());
}

Napi::Value sample_uniform(Napi::Env env, const Napi::Object&, const Napi::Object& input) {
  const std::size_t size = natural(input, "size");
  if (size == 0) invalid("size", "at least one entry");
  auto indices = Napi::Int32Array::New(env, natural(input, "count"));
  rl::sample_uniform(size, natural(input, "seed"), natural(input, "firstDraw"), indices.Data(),
                     indices.ElementLength());
  return indices;
}

Napi::Value sample_prioritized(Napi::Env env, const Napi::Object& rule, const Napi::Object& input) {
  const rl::SumTree tree = tree_of(input);
  auto indices = Napi::Int32Array::New(env, natural(input, "count"));
  auto weights = Napi::Float64Array::New(env, indices.ElementLength());
  rl::sample_prioritized(tree, sampling_of(rule), natural(input, "seed"), natural(input, "firstDraw"),
                         indices.Data(), indices.ElementLength());
  rl::importance_weights(tree, natural(input, "size"), number(rule, "beta", 0), normalization_of(rule),
                         indices.Data(), weights.Data(), indices.ElementLength());
  Napi::Object out = Napi::Object::New(env);
  out.Set("indices", indices);
  out.Set("weights", weights);
  return out;
}

template <typename Float>
Napi::Value set_priorities(Napi::Env env, const Napi::Object& rule, const Napi::Object& input) {
  rl::SumTree tree = tree_of(input);
  const std::size_t count = length_of(input, "errors");
  const double largest = rl::set_priorities<Float>(
      tree, natural(input, "size"), number(rule, "alpha", 0), number(rule, "epsilon", 0),
      required<std::int32_t>(input, "indices", count), required<Float>(input, "errors", count), count);
  return Napi::Number::New(env, largest);
}

// Also over a SharedArrayBuffer, which TypedArray::ArrayBuffer() does not give.
char* bytes_of(const Napi::TypedArray& array) {
  void* bytes = nullptr;
  if (napi_get_typedarray_info(array.Env(), array, nullptr, nullptr, &bytes, nullptr, nullptr) != napi_ok) {
    throw Error{"INTERNAL", "The memory of a typed array cannot be read"};
  }
  return static_cast<char*>(bytes);
}

// Rows of `source` by index, into `target`: any element type, the same for both.
Napi::Value gather_rows(Napi::Env env, const Napi::Object&, const Napi::Object& input) {
  for (const char* name : {"source", "target"}) {
    if (!input.Get(name).IsTypedArray()) invalid(name, "a typed array");
  }
  const auto source = input.Get("source").As<Napi::TypedArray>();
  auto target = input.Get("target").As<Napi::TypedArray>();
  if (source.TypedArrayType() != target.TypedArrayType()) invalid("target", "the source's element type");
  const std::size_t width = natural(input, "width");
  const std::size_t count = length_of(input, "indices");
  const auto* indices = required<std::int32_t>(input, "indices", count);
  if (target.ElementLength() != count * width) invalid("target", "indices × width elements");
  const std::size_t rows = width > 0 ? source.ElementLength() / width : 0;
  const std::size_t bytes = width * source.ElementSize();
  const char* from = bytes_of(source);
  char* to = bytes_of(target);
  for (std::size_t k = 0; k < count; ++k) {
    if (indices[k] < 0 || static_cast<std::size_t>(indices[k]) >= rows)
      invalid("indices", "rows of the source");
    std::memcpy(to + k * bytes, from + static_cast<std::size_t>(indices[k]) * bytes, bytes);
  }
  return env.Undefined();
}

}  // namespace

void register_rl_replay(Napi::Env env, Napi::Object exports) {
  set_function(env, exports, "rlTreeLengths", tree_lengths);
  set_function(env, exports, "rlTreeRebuild", tree_rebuild);
  set_function(env, exports, "rlTreeTotal", tree_total);
  set_function(env, exports, "rlSampleUniform", sample_uniform);
  set_function(env, exports, "rlSamplePrioritized", sample_prioritized);
  set_function(env, exports, "rlGatherRows", gather_rows);
  set_kernel(env, exports, "rlSetPriorities", "errors", set_priorities<float>, set_priorities<double>);
}

}  // namespace adjudge
