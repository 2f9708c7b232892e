// Corrections for completions of another policy, for JavaScript.
#include "../rl/off_policy.h"

#include <cmath>

#include "rl_arguments.h"

namespace adjudge {
namespace {

using namespace rl_arguments;

template <typename Float>
rl::RolloutBatch<Float> rollout_batch(const Napi::Object& input) {
  rl::RolloutBatch<Float> batch;
  batch.rows = offsets(input, "cuSeqlens", batch.cu_seqlens);
  const auto tokens = static_cast<std::size_t>(batch.cu_seqlens[batch.rows]);
  batch.log_probs = required<Float>(input, "logProbs", tokens);
  batch.rollout_log_probs = required<Float>(input, "rolloutLogProbs", tokens);
  batch.advantages = data<Float>(input, "advantages", batch.rows);
  batch.mask = data<std::uint8_t>(input, "mask", tokens);
  return batch;
}

rl::WeightRule weight_rule(const Napi::Object& from) {
  using namespace rl;
  WeightRule rule;
  rule.level = choice<WeightLevel>(from, "level",
                                   {{"token", WeightLevel::token}, {"sequence", WeightLevel::sequence}});
  rule.gate = choice<WeightGate>(from, "gate",
                                 {{"weight", WeightGate::weight},
                                  {"geometric_mean", WeightGate::geometric_mean},
                                  {"binary_kl", WeightGate::binary_kl},
                                  {"binary_kl_mean", WeightGate::binary_kl_mean},
                                  {"total_variation", WeightGate::total_variation},
                                  {"total_variation_mean", WeightGate::total_variation_mean}});
  rule.outside =
      choice<OutsideBand>(from, "outside", {{"clip", OutsideBand::clip}, {"zero", OutsideBand::zero}});
  rule.low = number(from, "low", rule.low);
  rule.high = number(from, "high", rule.high);
  rule.log_ratio_limit = number(from, "logRatioLimit", rule.log_ratio_limit);
  rule.normalize = boolean(from, "normalize", false);
  rule.count_epsilon = number(from, "countEpsilon", 0);
  return rule;
}

template <typename Float>
Napi::Value importance_weights(Napi::Env env, const Napi::Object& from, const Napi::Object& input) {
  const rl::Weights weights = rl::importance_weights(weight_rule(from), rollout_batch<Float>(input));
  const rl::WeightMetrics& values = weights.metrics;
  Napi::Object metrics = Napi::Object::New(env);
  const std::initializer_list<std::pair<const char*, double>> named{
      {"minimum", values.minimum},
      {"mean", values.mean},
      {"maximum", values.maximum},
      {"rawMinimum", values.raw_minimum},
      {"rawMaximum", values.raw_maximum},
      {"tokenMean", values.token_mean},
      {"deviation", values.deviation},
      {"effectiveSampleSize", values.effective_sample_size},
      {"fractionHigh", values.fraction_high},
      {"fractionLow", values.fraction_low},
      {"outsideTokens", values.outside_tokens},
      {"outside", values.outside},
      {"sequenceMean", values.sequence_mean},
      {"sequenceDeviation", values.sequence_deviation},
      {"sequenceMaximum", values.sequence_maximum},
      {"sequenceMinimum", values.sequence_minimum},
      {"sequenceMaxDeviation", values.sequence_max_deviation},
      {"sequenceFractionHigh", values.sequence_fraction_high},
      {"sequenceFractionLow", values.sequence_fraction_low},
      {"normalizer", values.normalizer}};
  for (const auto& [name, value] : named) metrics.Set(name, value);
  Napi::Object out = Napi::Object::New(env);
  out.Set("weights", array_of<Float>(env, weights.tokens));
  if (!weights.sequences.empty()) out.Set("sequenceWeights", array_of<Float>(env, weights.sequences));
  out.Set("metrics", metrics);
  return out;
}

rl::Criterion criterion(const Napi::Object& from) {
  using namespace rl;
  Criterion result;
  result.statistic = choice<Divergence>(from, "statistic",
                                        {{"ratio", Divergence::ratio},
                                         {"k1", Divergence::k1},
                                         {"k2", Divergence::k2},
                                         {"k3", Divergence::k3},
                                         {"binary_kl", Divergence::binary_kl},
                                         {"total_variation", Divergence::total_variation}});
  result.level = choice<RejectionLevel>(from, "level",
                                        {{"token", RejectionLevel::token},
                                         {"sequence_sum", RejectionLevel::sequence_sum},
                                         {"sequence_mean", RejectionLevel::sequence_mean},
                                         {"sequence_max", RejectionLevel::sequence_max}});
  result.low = number(from, "low", result.low);
  result.high = number(from, "high", result.high);
  result.only_negative = boolean(from, "onlyNegative", false);
  return result;
}

Napi::Object criterion_metrics(Napi::Env env, const rl::CriterionMetrics& values) {
  Napi::Object metrics = Napi::Object::New(env);
  const std::initializer_list<std::pair<const char*, double>> named{
      {"mean", values.mean},
      {"max", values.maximum},
      {"min", values.minimum},
      {"std", values.deviation},
      {"fraction_high", values.fraction_high},
      {"fraction_low", values.fraction_low},
      {"seq_mean", values.sequence_mean},
      {"seq_std", values.sequence_deviation},
      {"seq_max", values.sequence_maximum},
      {"seq_min", values.sequence_minimum},
      {"seq_max_deviation", values.sequence_max_deviation},
      {"seq_fraction_high", values.sequence_fraction_high},
      {"seq_fraction_low", values.sequence_fraction_low},
      {"masked_fraction", values.masked_fraction},
      {"seq_masked_fraction", values.sequence_masked_fraction}};
  for (const auto& [name, value] : named) metrics.Set(name, value);
  return metrics;
}

Napi::Uint8Array flags(Napi::Env env, const std::vector<std::uint8_t>& values) {
  auto array = Napi::Uint8Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

template <typename Float>
Napi::Value rejection_mask(Napi::Env env, const Napi::Object& from, const Napi::Object& input) {
  rl::RejectionRule rule;
  rule.log_ratio_limit = number(from, "logRatioLimit", rule.log_ratio_limit);
  rule.count_epsilon = number(from, "countEpsilon", 0);
  if (!from.Get("criteria").IsArray()) invalid("criteria", "an array");
  const auto criteria = from.Get("criteria").As<Napi::Array>();
  const rl::RolloutBatch<Float> batch = rollout_batch<Float>(input);
  for (std::uint32_t i = 0; i < criteria.Length(); ++i) {
    if (!criteria.Get(i).IsObject()) invalid("criteria", "records");
    rule.criteria.push_back(criterion(criteria.Get(i).As<Napi::Object>()));
    if (rule.criteria.back().only_negative && !batch.advantages) invalid("advantages", "one per completion");
  }
  const rl::Rejection result = rl::rejection_mask(rule, batch);
  Napi::Array metrics = Napi::Array::New(env, result.criteria.size());
  for (std::size_t i = 0; i < result.criteria.size(); ++i) {
    metrics.Set(static_cast<std::uint32_t>(i), criterion_metrics(env, result.criteria[i]));
  }
  Napi::Object out = Napi::Object::New(env);
  out.Set("mask", flags(env, result.mask));
  out.Set("keep", flags(env, result.keep));
  out.Set("maskedFraction", result.masked_fraction);
  out.Set("sequenceMaskedFraction", result.sequence_masked_fraction);
  out.Set("criteria", metrics);
  return out;
}

template <typename Float>
Napi::Value mismatch_metrics(Napi::Env env, const Napi::Object&, const Napi::Object& input) {
  const rl::MismatchMetrics values = rl::mismatch_metrics(rollout_batch<Float>(input));
  Napi::Object metrics = Napi::Object::New(env);
  const std::initializer_list<std::pair<const char*, double>> named{
      {"training_ppl", values.training_perplexity},
      {"training_log_ppl", values.training_log_perplexity},
      {"rollout_ppl", values.rollout_perplexity},
      {"rollout_log_ppl", values.rollout_log_perplexity},
      {"kl", values.kl},
      {"k3_kl", values.k3},
      {"log_ppl_diff", values.log_perplexity_difference},
      {"log_ppl_abs_diff", values.log_perplexity_absolute_difference},
      {"log_ppl_diff_max", values.log_perplexity_difference_maximum},
      {"log_ppl_diff_min", values.log_perplexity_difference_minimum},
      {"ppl_ratio", values.perplexity_ratio},
      {"chi2_token", values.chi2_token},
      {"chi2_seq", values.chi2_sequence},
      {"sampling/sampling_logp_difference/mean", values.difference_mean},
      {"sampling/sampling_logp_difference/max", values.difference_maximum},
      {"missing", values.missing}};
  for (const auto& [name, value] : named) metrics.Set(name, value);
  return metrics;
}

template <typename Float>
Napi::Value gamma_weights(Napi::Env env, const Napi::Object& from, const Napi::Object& input) {
  rl::GammaWeight rule;
  rule.shape_positive = number(from, "shapePositive", rule.shape_positive);
  rule.rate_positive = number(from, "ratePositive", rule.rate_positive);
  rule.shape_negative = number(from, "shapeNegative", rule.shape_negative);
  rule.rate_negative = number(from, "rateNegative", rule.rate_negative);
  rl::GammaBatch<Float> batch;
  batch.rows = offsets(input, "cuSeqlens", batch.cu_seqlens);
  const auto tokens = static_cast<std::size_t>(batch.cu_seqlens[batch.rows]);
  batch.log_probs = required<Float>(input, "logProbs", tokens);
  batch.old_log_probs = required<Float>(input, "oldLogProbs", tokens);
  batch.importance_weights = data<Float>(input, "importanceWeights", tokens);
  batch.advantages = required<Float>(input, "advantages", batch.rows);
  batch.mask = data<std::uint8_t>(input, "mask", tokens);
  return array_of<Float>(env, rl::gamma_weights(rule, batch));
}

}  // namespace

void register_rl_off_policy(Napi::Env env, Napi::Object exports) {
  set_kernel(env, exports, "rlImportanceWeights", "logProbs", importance_weights<float>,
             importance_weights<double>);
  set_kernel(env, exports, "rlRejectionMask", "logProbs", rejection_mask<float>, rejection_mask<double>);
  set_kernel(env, exports, "rlMismatchMetrics", "logProbs", mismatch_metrics<float>,
             mismatch_metrics<double>);
  set_kernel(env, exports, "rlGammaWeights", "logProbs", gamma_weights<float>, gamma_weights<double>);
}

}  // namespace adjudge
