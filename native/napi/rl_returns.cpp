// GAE, V-trace, Retrace and UPGO for JavaScript: packed sequences in, arrays of the same length out.
#include <cmath>

#include "../rl/gae.h"
#include "../rl/off_policy_returns.h"
#include "rl_arguments.h"

namespace adjudge {
namespace {

using namespace rl_arguments;

template <typename Float>
Napi::TypedArrayOf<Float> result(Napi::Env env, Napi::Object& out, const char* name, std::size_t tokens) {
  auto array = Napi::TypedArrayOf<Float>::New(env, tokens, float_type<Float>);
  out.Set(name, array);
  return array;
}

template <typename Float>
rl::ReturnsBatch<Float> batch_of(const Napi::Object& input, std::size_t& tokens) {
  rl::ReturnsBatch<Float> batch;
  batch.rows = offsets(input, "cuSeqlens", batch.cu_seqlens);
  tokens = static_cast<std::size_t>(batch.cu_seqlens[batch.rows]);
  batch.rewards = required<Float>(input, "rewards", tokens);
  batch.values = required<Float>(input, "values", tokens);
  batch.action_values = data<Float>(input, "actionValues", tokens);
  batch.log_ratios = data<Float>(input, "logRatios", tokens);
  batch.mask = data<std::uint8_t>(input, "mask", tokens);
  batch.bootstrap_values = data<Float>(input, "bootstrapValues", batch.rows);
  return batch;
}

template <typename Float>
Napi::Value gae(Napi::Env env, const Napi::Object& from, const Napi::Object& input) {
  const rl::GaeRule rule{number(from, "gamma", 1), number(from, "lambda", 1),
                         boolean(from, "skipMasked", true)};
  std::size_t tokens = 0;
  const auto all = batch_of<Float>(input, tokens);
  rl::GaeBatch<Float> batch{all.rewards, all.values, all.cu_seqlens,
                            all.rows,    all.mask,   all.bootstrap_values};
  Napi::Object out = Napi::Object::New(env);
  auto advantages = result<Float>(env, out, "advantages", tokens);
  auto returns = result<Float>(env, out, "returns", tokens);
  rl::gae(rule, batch, advantages.Data(), returns.Data());
  return out;
}

template <typename Float>
Napi::Value vtrace(Napi::Env env, const Napi::Object& from, const Napi::Object& input) {
  const rl::VtraceRule rule{number(from, "gamma", 1), number(from, "lambda", 1),
                            number(from, "rhoClip", INFINITY), number(from, "cClip", INFINITY),
                            number(from, "policyGradientRhoClip", INFINITY)};
  std::size_t tokens = 0;
  const auto batch = batch_of<Float>(input, tokens);
  Napi::Object out = Napi::Object::New(env);
  auto targets = result<Float>(env, out, "targets", tokens);
  auto advantages = result<Float>(env, out, "advantages", tokens);
  rl::vtrace(rule, batch, targets.Data(), advantages.Data());
  return out;
}

template <typename Float>
Napi::Value retrace(Napi::Env env, const Napi::Object& from, const Napi::Object& input) {
  const rl::RetraceRule rule{number(from, "gamma", 1), number(from, "lambda", 1),
                             number(from, "cClip", INFINITY)};
  std::size_t tokens = 0;
  const auto batch = batch_of<Float>(input, tokens);
  required<Float>(input, "actionValues", tokens);
  Napi::Object out = Napi::Object::New(env);
  auto targets = result<Float>(env, out, "targets", tokens);
  rl::retrace(rule, batch, targets.Data());
  return out;
}

template <typename Float>
Napi::Value upgo(Napi::Env env, const Napi::Object& from, const Napi::Object& input) {
  const rl::UpgoRule rule{number(from, "gamma", 1), number(from, "rhoClip", INFINITY)};
  std::size_t tokens = 0;
  const auto batch = batch_of<Float>(input, tokens);
  Napi::Object out = Napi::Object::New(env);
  auto returns = result<Float>(env, out, "returns", tokens);
  auto advantages = result<Float>(env, out, "advantages", tokens);
  rl::upgo(rule, batch, returns.Data(), advantages.Data());
  return out;
}

}  // namespace

void register_rl_returns(Napi::Env env, Napi::Object exports) {
  set_kernel(env, exports, "rlGae", "rewards", gae<float>, gae<double>);
  set_kernel(env, exports, "rlVtrace", "rewards", vtrace<float>, vtrace<double>);
  set_kernel(env, exports, "rlRetrace", "rewards", retrace<float>, retrace<double>);
  set_kernel(env, exports, "rlUpgo", "rewards", upgo<float>, upgo<double>);
}

}  // namespace adjudge
