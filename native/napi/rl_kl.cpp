// KL divergence for JavaScript: estimated at sampled tokens, between whole rows, and taken off the reward.
#include "rl_kl.h"

#include <cmath>

#include "../device/rl.h"
#include "../rl/finite.h"
#include "rl_call.h"

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

constexpr Signature divergence_signature("logProbs", {"logProbs", "referenceLogProbs", "oldLogProbs", "mask"},
                                         {"values", "gradients"});

template <typename Float>
void kl_divergence(const rl::KlRule& rule, const Call& call) {
  constexpr const Signature& at = divergence_signature;
  rl::KlTokensBatch<Float> batch;
  batch.tokens = call.length(at.at("logProbs"));
  batch.log_probs = call.required<Float>(at.at("logProbs"), batch.tokens);
  batch.reference_log_probs = call.required<Float>(at.at("referenceLogProbs"), batch.tokens);
  batch.old_log_probs = call.data<Float>(at.at("oldLogProbs"), batch.tokens);
  batch.mask = call.data<std::uint8_t>(at.at("mask"), batch.tokens);
  auto* values = call.written<Float>(at.at("values"), batch.tokens);
  auto* gradients = call.written<Float>(at.at("gradients"), batch.tokens);
  call.check_finite<Float>(at.at("logProbs"), batch.mask);
  call.check_finite<Float>(at.at("referenceLogProbs"), batch.mask);
  call.check_finite<Float>(at.at("oldLogProbs"), batch.mask);
  check_cancelled();
  device::kl_tokens(device::chosen(), rule, batch, values, gradients);
}

constexpr Signature rows_signature("logits", {"logits", "referenceLogits", "width", "mask", "forward"},
                                   {"values", "logitGradients"});

// Throws what is wrong with the first row that is no distribution.
template <typename Float>
void check_distributions(const char* name, const rl::KlRowsBatch<Float>& batch, const Float* logits) {
  for (std::size_t i = 0; i < batch.rows; ++i) {
    if (batch.mask && !batch.mask[i]) continue;
    bool any = false;
    for (std::size_t k = i * batch.width; k < (i + 1) * batch.width; ++k) {
      any = any || logits[k] > -INFINITY;
      if (logits[k] < INFINITY) continue;
      throw Error("ARGUMENT_INVALID", std::string(name) + "[" + std::to_string(k) + "] is " +
                                          (std::isnan(logits[k]) ? "NaN" : "Infinity") +
                                          ", expected a number below infinity");
    }
    if (any) continue;
    throw Error("ARGUMENT_INVALID", std::string(name) + ": row " + std::to_string(i) +
                                        " has minus infinity everywhere; expected a probability above 0");
  }
}

template <typename Float>
void check_divergences(const rl::KlRowsBatch<Float>& batch, const Float* values, bool forward) {
  const std::size_t row = rl::first_not_finite(values, batch.mask, batch.rows);
  if (row == batch.rows) return;
  check_distributions("logits", batch, batch.logits);
  check_distributions("referenceLogits", batch, batch.reference_logits);
  throw Error("ARGUMENT_INVALID",
              std::string(forward ? "logits" : "referenceLogits") + ": row " + std::to_string(row) + " of " +
                  std::to_string(batch.width) +
                  " has a divergence that is not finite: a probability of 0 where the other is above 0");
}

template <typename Float>
void kl_rows(const Call& call) {
  constexpr const Signature& at = rows_signature;
  rl::KlRowsBatch<Float> batch;
  batch.width = call.natural(at.at("width"), 1, 1);
  batch.rows = call.length(at.at("logits")) / batch.width;
  const std::size_t numbers = batch.rows * batch.width;
  batch.logits = call.required<Float>(at.at("logits"), numbers);
  batch.reference_logits = call.required<Float>(at.at("referenceLogits"), numbers);
  batch.mask = call.data<std::uint8_t>(at.at("mask"), batch.rows);
  const bool forward = call.flag(at.at("forward"));
  auto* values = call.written<Float>(at.at("values"), batch.rows);
  auto* gradients = call.output<Float>(at.at("logitGradients"), numbers);
  check_cancelled();
  device::kl_rows(device::chosen(), forward ? rl::KlDirection::forward : rl::KlDirection::reverse, batch,
                  values, gradients);
  check_divergences(batch, values, forward);
}

constexpr Signature reward_signature("out.tokenRewards",
                                     {"tokenRewards", "rewards", "kl", "logProbs", "referenceLogProbs",
                                      "mask", "cuSeqlens", "coefficient"},
                                     {"out.tokenRewards"});

rl::KlRewardRule reward_rule(const Napi::Object& from) {
  rl::KlRewardRule rule;
  rule.kl = kl_rule(from);
  rule.clip_low = number(from, "clipLow", rule.clip_low);
  rule.clip_high = number(from, "clipHigh", rule.clip_high);
  return rule;
}

template <typename Float>
void kl_reward(rl::KlRewardRule rule, const Call& call, double* numbers) {
  constexpr const Signature& at = reward_signature;
  rl::KlRewardBatch<Float> batch;
  batch.rows = call.offsets(at.at("cuSeqlens"), batch.cu_seqlens);
  const auto tokens = static_cast<std::size_t>(batch.cu_seqlens[batch.rows]);
  batch.rewards = call.data<Float>(at.at("rewards"), batch.rows);
  batch.token_rewards = call.data<Float>(at.at("tokenRewards"), tokens);
  batch.kl = call.data<Float>(at.at("kl"), tokens);
  batch.log_probs = call.data<Float>(at.at("logProbs"), tokens);
  if (batch.log_probs) {
    batch.reference_log_probs = call.required<Float>(at.at("referenceLogProbs"), tokens);
  }
  batch.mask = call.data<std::uint8_t>(at.at("mask"), tokens);
  rule.kl.coefficient = call.number(at.at("coefficient"), rule.kl.coefficient);
  auto* results = call.written<Float>(at.at("out.tokenRewards"), tokens);
  call.check_finite<Float>(at.at("rewards"));
  call.check_finite<Float>(at.at("tokenRewards"), batch.mask);
  call.check_finite<Float>(at.at("logProbs"), batch.mask);
  call.check_finite<Float>(at.at("referenceLogProbs"), batch.mask);
  call.check_finite<Float>(at.at("kl"), batch.mask);
  check_cancelled();
  const rl::KlRewardMetrics metrics = device::kl_reward(device::chosen(), rule, batch, results);
  write_numbers(numbers, {metrics.kl, metrics.kl_token});
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
  export_rl_call(env, exports, "rlKlDivergence", divergence_signature, 0, [](const Napi::Object& from) {
    return either_type([rule = kl_rule(from)](const Call& call, double*, auto type) {
      kl_divergence<decltype(type)>(rule, call);
    });
  });
  export_rl_call(env, exports, "rlKlRows", rows_signature, 0, [](const Napi::Object&) {
    return either_type([](const Call& call, double*, auto type) { kl_rows<decltype(type)>(call); });
  });
  export_rl_call(env, exports, "rlKlReward", reward_signature, 2, [](const Napi::Object& from) {
    return either_type([rule = reward_rule(from)](const Call& call, double* numbers, auto type) {
      kl_reward<decltype(type)>(rule, call, numbers);
    });
  });
  exports.Set("rlAdaptedKlCoefficient",
              Napi::Function::New(env, adapted_kl_coefficient, "rlAdaptedKlCoefficient"));
}

}  // namespace adjudge
