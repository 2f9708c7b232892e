// Advantages for JavaScript, by the rules of src/rl/advantages.ts.
#include "../rl/advantage.h"

#include <string>

#include "rl_arguments.h"

namespace adjudge {
namespace {

using namespace rl_arguments;

rl::AdvantageRule advantage_rule(const Napi::Object& from) {
  using namespace rl;
  AdvantageRule rule;
  rule.estimator =
      choice<Estimator>(from, "estimator", {{"sampled", Estimator::sampled}, {"gae", Estimator::gae}});
  rule.multi_objective = choice<MultiObjective>(from, "multiObjective",
                                                {{"sum_then_normalize", MultiObjective::sum_then_normalize},
                                                 {"normalize_then_sum", MultiObjective::normalize_then_sum}});
  rule.baseline = choice<Baseline>(from, "baseline",
                                   {{"group", Baseline::group},
                                    {"batch", Baseline::batch},
                                    {"leave_one_out", Baseline::leave_one_out},
                                    {"length_weighted", Baseline::length_weighted},
                                    {"second_best", Baseline::second_best},
                                    {"optimal_token", Baseline::optimal_token},
                                    {"given", Baseline::given},
                                    {"none", Baseline::none}});
  rule.scale = choice<Scale>(from, "scale",
                             {{"group", Scale::group},
                              {"batch", Scale::batch},
                              {"batch_advantage", Scale::batch_advantage},
                              {"nonzero", Scale::nonzero},
                              {"none", Scale::none}});
  rule.epsilon = number(from, "epsilon", rule.epsilon);
  rule.bessel = boolean(from, "bessel", rule.bessel);
  rule.singleton = choice<Singleton>(
      from, "singleton",
      {{"zero", Singleton::zero}, {"reward", Singleton::reward}, {"error", Singleton::error}});
  rule.clip_low = number(from, "clipLow", rule.clip_low);
  rule.clip_high = number(from, "clipHigh", rule.clip_high);
  rule.clip_place = choice<ClipPlace>(
      from, "clipPlace",
      {{"before_baseline", ClipPlace::before_baseline}, {"after_baseline", ClipPlace::after_baseline}});
  rule.f_norm = number(from, "fNorm", rule.f_norm);
  rule.gamma = number(from, "gamma", rule.gamma);
  rule.lambda = number(from, "lambda", rule.lambda);
  rule.alignment = choice<Alignment>(from, "alignment",
                                     {{"position", Alignment::position}, {"counted", Alignment::counted}});
  rule.zero_tail = boolean(from, "zeroTail", rule.zero_tail);
  rule.masked_return = choice<MaskedReturn>(
      from, "maskedReturn", {{"skip", MaskedReturn::skip}, {"through", MaskedReturn::through}});
  rule.penalty_per_token = boolean(from, "penaltyPerToken", false);
  if (absent(from.Get("whitening"))) return rule;
  const Napi::Object whitening = part(from, "whitening");
  rule.whitening.enabled = true;
  rule.whitening.scale = boolean(whitening, "scale", true);
  rule.whitening.bessel = boolean(whitening, "bessel", true);
  rule.whitening.epsilon = number(whitening, "epsilon", rule.whitening.epsilon);
  rule.whitening.epsilon_rule = choice<EpsilonRule>(
      whitening, "epsilonRule", {{"add", EpsilonRule::add}, {"floor", EpsilonRule::floor}});
  rule.whitening.count_epsilon = number(whitening, "countEpsilon", 0);
  return rule;
}

bool looks_at_tokens(const rl::AdvantageRule& rule) {
  return rule.whitening.enabled || rule.gamma != 1 || rule.estimator == rl::Estimator::gae ||
         rule.baseline == rl::Baseline::length_weighted || rule.baseline == rl::Baseline::optimal_token;
}

template <typename Float>
Napi::Value advantages(Napi::Env env, const Napi::Object& from, const Napi::Object& input) {
  const rl::AdvantageRule rule = advantage_rule(from);
  rl::AdvantageBatch<Float> batch;
  batch.groups = offsets(input, "groupOffsets", batch.group_offsets);
  const auto rows = static_cast<std::size_t>(batch.group_offsets[batch.groups]);
  batch.functions = static_cast<std::size_t>(number(input, "functions", 1));
  batch.rewards = required<Float>(input, "rewards", rows * batch.functions);
  batch.weights = data<double>(input, "weights", batch.functions);
  batch.scored = data<std::uint8_t>(input, "scored", rows);
  if (rule.baseline == rl::Baseline::given) batch.baselines = required<Float>(input, "baselines", rows);
  if (!absent(input.Get("cuSeqlens"))) {
    if (offsets(input, "cuSeqlens", batch.cu_seqlens) != rows)
      invalid("cuSeqlens", "completions + 1 elements");
    const auto tokens = static_cast<std::size_t>(batch.cu_seqlens[rows]);
    batch.mask = data<std::uint8_t>(input, "mask", tokens);
    batch.penalties = data<Float>(input, "penalties", tokens);
    if (rule.estimator == rl::Estimator::gae) batch.values = required<Float>(input, "values", tokens);
    if (rule.baseline == rl::Baseline::optimal_token) {
      batch.log_probs = required<Float>(input, "logProbs", tokens);
      batch.sum_pi_squared = required<Float>(input, "sumPiSquared", tokens);
      batch.importance_weights = data<Float>(input, "importanceWeights", tokens);
    }
  } else if (looks_at_tokens(rule)) {
    invalid("cuSeqlens", "the boundaries of the completions: this algorithm looks at tokens");
  }
  const bool per_token = rl::advantages_per_token(rule, batch);
  const bool with_returns = rule.estimator == rl::Estimator::gae;
  const std::size_t tokens = batch.cu_seqlens ? static_cast<std::size_t>(batch.cu_seqlens[rows]) : 0;
  auto values = Napi::TypedArrayOf<Float>::New(env, per_token ? tokens : rows, float_type<Float>);
  auto returns = Napi::TypedArrayOf<Float>::New(env, with_returns ? tokens : 0, float_type<Float>);
  const rl::AdvantageMetrics result =
      rl::compute_advantages(rule, batch, values.Data(), with_returns ? returns.Data() : nullptr);
  Napi::Object metrics = Napi::Object::New(env);
  metrics.Set("reward", result.reward);
  metrics.Set("rewardStd", result.reward_std);
  metrics.Set("fracRewardZeroStd", result.frac_reward_zero_std);
  metrics.Set("deadGroups", static_cast<double>(result.dead_groups));
  metrics.Set("scoredGroups", static_cast<double>(result.scored_groups));
  metrics.Set("unscored", static_cast<double>(result.unscored));
  Napi::Object out = Napi::Object::New(env);
  out.Set("advantages", values);
  out.Set("perToken", per_token);
  if (with_returns) out.Set("returns", returns);
  out.Set("metrics", metrics);
  return out;
}

}  // namespace

void register_rl_advantages(Napi::Env env, Napi::Object exports) {
  set_kernel(env, exports, "rlAdvantages", "rewards", advantages<float>, advantages<double>);
}

}  // namespace adjudge
