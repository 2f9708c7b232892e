// The critic's loss for JavaScript.
#include "../rl/value_loss.h"

#include <cmath>

#include "rl_aggregation.h"
#include "rl_arguments.h"

namespace adjudge {
namespace {

using namespace rl_arguments;

rl::ValueRule value_rule(const Napi::Object& from) {
  rl::ValueRule rule;
  rule.clip = number(from, "clip", INFINITY);
  rule.coefficient = number(from, "coefficient", rule.coefficient);
  rule.aggregation = aggregation_rule(from);
  return rule;
}

template <typename Float>
Napi::Value value_loss(Napi::Env env, const Napi::Object& from, const Napi::Object& input) {
  const rl::ValueRule rule = value_rule(from);
  rl::ValueBatch<Float> batch;
  batch.rows = offsets(input, "cuSeqlens", batch.cu_seqlens);
  const auto tokens = static_cast<std::size_t>(batch.cu_seqlens[batch.rows]);
  batch.values = required<Float>(input, "values", tokens);
  batch.old_values = data<Float>(input, "oldValues", tokens);
  batch.returns = required<Float>(input, "returns", tokens);
  batch.mask = data<std::uint8_t>(input, "mask", tokens);
  batch.batch_tokens = number(input, "batchTokens", -1);
  batch.batch_sequences = number(input, "batchSequences", -1);
  auto gradients = Napi::TypedArrayOf<Float>::New(env, tokens, float_type<Float>);
  const rl::ValueLossResult result = rl::value_loss(rule, batch, gradients.Data());
  Napi::Object metrics = Napi::Object::New(env);
  metrics.Set("tokens", result.metrics.tokens);
  metrics.Set("sequences", result.metrics.sequences);
  metrics.Set("clipFraction", result.metrics.clip_fraction);
  metrics.Set("value", result.metrics.value);
  metrics.Set("valueError", result.metrics.value_error);
  metrics.Set("returns", result.metrics.returns);
  metrics.Set("explainedVariance", result.metrics.explained_variance);
  Napi::Object out = Napi::Object::New(env);
  out.Set("loss", result.loss);
  out.Set("valueGradients", gradients);
  out.Set("metrics", metrics);
  return out;
}

}  // namespace

void register_rl_value_loss(Napi::Env env, Napi::Object exports) {
  set_kernel(env, exports, "rlValueLoss", "values", value_loss<float>, value_loss<double>);
}

}  // namespace adjudge
