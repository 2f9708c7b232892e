// The RL kernels for JavaScript: synchronous, typed arrays in and out. Float32Array and Float64Array alike,
// but all floating arrays of one call have the same type; src/rl sees to the lengths and names the wrong
// field first.
#include "../rl/exact.h"
#include "../rl/policy_loss.h"

#include <cmath>

#include "rl_aggregation.h"
#include "rl_arguments.h"
#include "rl_kl.h"

namespace adjudge {
namespace {

using namespace rl_arguments;

rl::GammaWeight gamma_weight(const Napi::Object& from) {
  rl::GammaWeight weight;
  weight.shape_positive = number(from, "shapePositive", weight.shape_positive);
  weight.rate_positive = number(from, "ratePositive", weight.rate_positive);
  weight.shape_negative = number(from, "shapeNegative", weight.shape_negative);
  weight.rate_negative = number(from, "rateNegative", weight.rate_negative);
  weight.masked_importance = boolean(from, "maskedImportance", false);
  return weight;
}

rl::CovarianceRule covariance_rule(const Napi::Object& from) {
  rl::CovarianceRule rule;
  rule.share = number(from, "share", rule.share);
  rule.low = number(from, "low", rule.low);
  rule.high = number(from, "high", rule.high);
  rule.kl_coefficient = number(from, "klCoefficient", rule.kl_coefficient);
  return rule;
}

rl::LossRule loss_rule(const Napi::Object& from) {
  using namespace rl;
  LossRule rule;
  rule.kind = choice<LossKind>(from, "kind",
                               {{"policy_gradient", LossKind::policy_gradient},
                                {"clip", LossKind::clip},
                                {"cispo", LossKind::cispo},
                                {"sapo", LossKind::sapo},
                                {"vespo", LossKind::vespo},
                                {"gmpo", LossKind::gmpo},
                                {"dppo_tv", LossKind::dppo_tv},
                                {"dppo_kl", LossKind::dppo_kl},
                                {"dro", LossKind::dro},
                                {"clip_cov", LossKind::clip_cov},
                                {"kl_cov", LossKind::kl_cov}});
  rule.ratio = choice<Ratio>(
      from, "ratio",
      {{"token", Ratio::token}, {"sequence", Ratio::sequence}, {"sequence_sum", Ratio::sequence_sum}});
  rule.ratio_gradient = choice<RatioGradient>(
      from, "ratioGradient", {{"joint", RatioGradient::joint}, {"own_token", RatioGradient::own_token}});
  rule.clip_low = number(from, "clipLow", INFINITY);
  rule.clip_high = number(from, "clipHigh", INFINITY);
  rule.dual_clip = number(from, "dualClip", INFINITY);
  rule.ratio_cap = number(from, "ratioCap", INFINITY);
  rule.log_ratio_low = number(from, "logRatioLow", -INFINITY);
  rule.log_ratio_high = number(from, "logRatioHigh", INFINITY);
  rule.keep_ratio_low = number(from, "keepRatioLow", 0);
  rule.keep_ratio_high = number(from, "keepRatioHigh", INFINITY);
  rule.off_policy_threshold = number(from, "offPolicyThreshold", INFINITY);
  rule.temperature_positive = number(from, "temperaturePositive", rule.temperature_positive);
  rule.temperature_negative = number(from, "temperatureNegative", rule.temperature_negative);
  rule.gamma_weight = gamma_weight(part(from, "gammaWeight"));
  rule.quadratic_coefficient = number(from, "quadraticCoefficient", rule.quadratic_coefficient);
  rule.covariance = covariance_rule(part(from, "covariance"));
  rule.top_entropy_quantile = number(from, "topEntropyQuantile", 1);
  rule.kl = kl_rule(part(from, "kl"));
  rule.entropy_coefficient = number(from, "entropyCoefficient", 0);
  rule.entropy_token_mean = boolean(from, "entropyTokenMean", false);
  rule.aggregation = aggregation_rule(from);
  return rule;
}

template <typename Float>
Napi::Value policy_loss(Napi::Env env, const Napi::Object& from, const Napi::Object& input) {
  const rl::LossRule rule = loss_rule(from);
  rl::LossBatch<Float> batch;
  batch.rows = offsets(input, "cuSeqlens", batch.cu_seqlens);
  const auto tokens = static_cast<std::size_t>(batch.cu_seqlens[batch.rows]);
  batch.log_probs = required<Float>(input, "logProbs", tokens);
  batch.old_log_probs = required<Float>(input, "oldLogProbs", tokens);
  batch.reference_log_probs = data<Float>(input, "referenceLogProbs", tokens);
  batch.entropies = data<Float>(input, "entropies", tokens);
  batch.importance_weights = data<Float>(input, "importanceWeights", tokens);
  batch.rollout_log_probs = data<Float>(input, "rolloutLogProbs", tokens);
  batch.candidate_count = length_of(input, "candidateOrder");
  batch.candidate_order = data<std::int32_t>(input, "candidateOrder", batch.candidate_count);
  batch.mask = data<std::uint8_t>(input, "mask", tokens);
  batch.advantages_per_token = boolean(input, "advantagesPerToken", false);
  batch.advantages = required<Float>(input, "advantages", batch.advantages_per_token ? tokens : batch.rows);
  batch.batch_tokens = number(input, "batchTokens", -1);
  batch.batch_sequences = number(input, "batchSequences", -1);

  auto gradients = Napi::TypedArrayOf<Float>::New(env, tokens, float_type<Float>);
  Napi::Object out = Napi::Object::New(env);
  Float* entropy_gradients = nullptr;
  if (batch.entropies) {
    auto array = Napi::TypedArrayOf<Float>::New(env, tokens, float_type<Float>);
    entropy_gradients = array.Data();
    out.Set("entropyGradients", array);
  }
  const rl::LossValue value = rl::policy_loss(rule, batch, gradients.Data(), entropy_gradients);
  Napi::Object metrics = Napi::Object::New(env);
  metrics.Set("tokens", value.metrics.tokens);
  metrics.Set("sequences", value.metrics.sequences);
  metrics.Set("clipLow", value.metrics.clip_low);
  metrics.Set("clipHigh", value.metrics.clip_high);
  metrics.Set("clipDual", value.metrics.clip_dual);
  metrics.Set("clipLowMin", value.metrics.clip_low_min);
  metrics.Set("clipHighMax", value.metrics.clip_high_max);
  metrics.Set("clipToken", value.metrics.clip_token);
  metrics.Set("clipBound", value.metrics.clip_bound);
  metrics.Set("selected", value.metrics.selected);
  metrics.Set("phi", value.metrics.phi);
  metrics.Set("policyLoss", value.metrics.policy_loss);
  metrics.Set("kl", value.metrics.kl);
  metrics.Set("entropy", value.metrics.entropy);
  metrics.Set("ratioMean", value.metrics.ratio_mean);
  metrics.Set("ratioMax", value.metrics.ratio_max);
  metrics.Set("oldKl", value.metrics.old_kl);
  metrics.Set("oldKlBounded", value.metrics.old_kl_bounded);
  metrics.Set("oldKlAbsolute", value.metrics.old_kl_absolute);
  out.Set("loss", value.loss);
  out.Set("logProbGradients", gradients);
  out.Set("metrics", metrics);
  return out;
}

template <typename Float>
Napi::Value exact_objective(Napi::Env env, const Napi::Object& from, const Napi::Object& input) {
  using namespace rl;
  ExactRule rule;
  rule.weights =
      choice<ExactWeights>(from, "weights", {{"softmax", ExactWeights::softmax}, {"raw", ExactWeights::raw}});
  rule.baseline = choice<ExactBaseline>(
      from, "baseline", {{"expected", ExactBaseline::expected}, {"none", ExactBaseline::none}});
  rule.kl_coefficient = number(from, "klCoefficient", 0);
  rule.entropy_coefficient = number(from, "entropyCoefficient", 0);
  ExactBatch<Float> batch;
  batch.groups = offsets(input, "groupOffsets", batch.group_offsets);
  const auto choices = static_cast<std::size_t>(batch.group_offsets[batch.groups]);
  batch.choice_log_probs = required<Float>(input, "choiceLogProbs", choices);
  batch.reference_choice_log_probs = data<Float>(input, "referenceChoiceLogProbs", choices);
  batch.rewards = required<Float>(input, "rewards", choices);
  batch.scored = data<std::uint8_t>(input, "scored", choices);
  batch.batch_groups = number(input, "batchGroups", -1);
  const ExactResult result = rl::exact_objective(rule, batch);
  Napi::Object metrics = Napi::Object::New(env);
  metrics.Set("expectedReward", result.expected_reward);
  metrics.Set("entropy", result.entropy);
  metrics.Set("kl", result.kl);
  metrics.Set("mass", result.mass);
  metrics.Set("scoredGroups", static_cast<double>(result.scored_groups));
  metrics.Set("deadGroups", static_cast<double>(result.dead_groups));
  metrics.Set("unscored", static_cast<double>(result.unscored));
  Napi::Object out = Napi::Object::New(env);
  out.Set("loss", result.loss);
  out.Set("choiceGradients", array_of<Float>(env, result.gradients));
  out.Set("probabilities", array_of<Float>(env, result.probabilities));
  out.Set("metrics", metrics);
  return out;
}

}  // namespace

void register_rl(Napi::Env env, Napi::Object exports) {
  set_kernel(env, exports, "rlPolicyLoss", "logProbs", policy_loss<float>, policy_loss<double>);
  set_kernel(env, exports, "rlExactObjective", "choiceLogProbs", exact_objective<float>,
             exact_objective<double>);
}

}  // namespace adjudge
