// KL divergence for JavaScript: estimated at sampled tokens, between whole rows, and taken off the reward.
#include "rl_kl.h"

#include "../rl/kl_reward.h"
#include "../rl/kl_rows.h"

#include <cmath>

#include "rl_arguments.h"

namespace adjudge {

using namespace rl_arguments;

rl::KlRule kl_rule(const Napi::Object& from) {
  using namespace rl;
  KlRule rule;
  rule.kind = choice<KlKind>(
      from, "kind",
      {{"k1", KlKind::k1}, {"k2", KlKind::k2}, {"k3", KlKind::k3}, {"absolute", KlKind::absolute}});
  rule.gradient = choice<KlGradient>(from, "gradient",
                                     {{"value", KlGradient::value},
                                      {"unbiased", KlGradient::unbiased},
                                      {"unbiased_ratio", KlGradient::unbiased_ratio}});
  rule.coefficient = number(from, "coefficient", 0);
  rule.ratio_weighted = boolean(from, "ratioWeighted", false);
  rule.difference_low = number(from, "differenceLow", -INFINITY);
  rule.difference_high = number(from, "differenceHigh", INFINITY);
  rule.value_limit = number(from, "valueLimit", INFINITY);
  return rule;
}

namespace {

template <typename Float>
Napi::Value kl_divergence(Napi::Env env, const Napi::Object& from, const Napi::Object& input) {
  const rl::KlRule rule = kl_rule(from);
  const std::size_t tokens = length_of(input, "logProbs");
  const Float* log_probs = required<Float>(input, "logProbs", tokens);
  const Float* reference = required<Float>(input, "referenceLogProbs", tokens);
  const Float* old_log_probs = data<Float>(input, "oldLogProbs", tokens);
  auto values = Napi::TypedArrayOf<Float>::New(env, tokens, float_type<Float>);
  auto gradients = Napi::TypedArrayOf<Float>::New(env, tokens, float_type<Float>);
  for (std::size_t t = 0; t < tokens; ++t) {
    const rl::KlValue kl =
        rl::kl_divergence(rule, log_probs[t], reference[t], old_log_probs ? old_log_probs[t] : log_probs[t]);
    values[t] = static_cast<Float>(kl.value);
    gradients[t] = static_cast<Float>(kl.gradient);
  }
  Napi::Object out = Napi::Object::New(env);
  out.Set("values", values);
  out.Set("gradients", gradients);
  return out;
}

template <typename Float>
Napi::Value kl_rows(Napi::Env env, const Napi::Object& from, const Napi::Object& input) {
  using rl::KlDirection;
  const auto direction = choice<KlDirection>(
      from, "direction", {{"reverse", KlDirection::reverse}, {"forward", KlDirection::forward}});
  rl::KlRowsBatch<Float> batch;
  batch.width = static_cast<std::size_t>(number(input, "width", 1));
  if (batch.width == 0) invalid("width", "at least 1");
  batch.rows = length_of(input, "logits") / batch.width;
  batch.logits = required<Float>(input, "logits", batch.rows * batch.width);
  batch.reference_logits = required<Float>(input, "referenceLogits", batch.rows * batch.width);
  batch.mask = data<std::uint8_t>(input, "mask", batch.rows);
  auto values = Napi::TypedArrayOf<Float>::New(env, batch.rows, float_type<Float>);
  Napi::Object out = Napi::Object::New(env);
  Float* gradients = nullptr;
  if (boolean(input, "gradients", true)) {
    auto array = Napi::TypedArrayOf<Float>::New(env, batch.rows * batch.width, float_type<Float>);
    gradients = array.Data();
    out.Set("logitGradients", array);
  }
  rl::kl_rows(direction, batch, values.Data(), gradients);
  out.Set("values", values);
  return out;
}

template <typename Float>
Napi::Value kl_reward(Napi::Env env, const Napi::Object& from, const Napi::Object& input) {
  rl::KlRewardRule rule;
  rule.kl = kl_rule(from);
  rule.clip_low = number(from, "clipLow", rule.clip_low);
  rule.clip_high = number(from, "clipHigh", rule.clip_high);
  rl::KlRewardBatch<Float> batch;
  batch.rows = offsets(input, "cuSeqlens", batch.cu_seqlens);
  const auto tokens = static_cast<std::size_t>(batch.cu_seqlens[batch.rows]);
  batch.rewards = data<Float>(input, "rewards", batch.rows);
  batch.token_rewards = required<Float>(input, "tokenRewards", tokens);
  batch.kl = data<Float>(input, "kl", tokens);
  batch.log_probs = data<Float>(input, "logProbs", tokens);
  if (batch.log_probs) batch.reference_log_probs = required<Float>(input, "referenceLogProbs", tokens);
  batch.mask = data<std::uint8_t>(input, "mask", tokens);
  auto results = Napi::TypedArrayOf<Float>::New(env, tokens, float_type<Float>);
  const rl::KlRewardMetrics metrics = rl::kl_reward(rule, batch, results.Data());
  Napi::Object out = Napi::Object::New(env);
  out.Set("tokenRewards", results);
  out.Set("kl", metrics.kl);
  out.Set("klToken", metrics.kl_token);
  return out;
}

Napi::Value adapted_kl_coefficient(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    if (info.Length() < 1 || !info[0].IsObject()) invalid("arguments", "a rule");
    const auto from = info[0].As<Napi::Object>();
    rl::AdaptiveKlRule rule;
    rule.target = number(from, "target", rule.target);
    rule.horizon = number(from, "horizon", rule.horizon);
    rule.limit = number(from, "limit", rule.limit);
    return Napi::Number::New(
        info.Env(), rl::adapted_coefficient(rule, number(from, "coefficient", 0), number(from, "observed", 0),
                                            number(from, "steps", 1)));
  });
}

}  // namespace

void register_rl_kl(Napi::Env env, Napi::Object exports) {
  set_kernel(env, exports, "rlKlDivergence", "logProbs", kl_divergence<float>, kl_divergence<double>);
  set_kernel(env, exports, "rlKlRows", "logits", kl_rows<float>, kl_rows<double>);
  set_kernel(env, exports, "rlKlReward", "tokenRewards", kl_reward<float>, kl_reward<double>);
  exports.Set("rlAdaptedKlCoefficient",
              Napi::Function::New(env, adapted_kl_coefficient, "rlAdaptedKlCoefficient"));
}

}  // namespace adjudge
