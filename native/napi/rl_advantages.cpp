// Advantages for JavaScript, by the rules of src/rl/advantages.ts.
#include "../device/rl.h"

#include <cmath>
#include <string>
#include <vector>

#include "rl_call.h"
#include "rl_kl.h"

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

constexpr Signature advantage_signature("rewards",
                                        {"rewards", "functions", "weights", "scored", "groupOffsets",
                                         "cuSeqlens", "mask", "penalties", "baselines", "values", "logProbs",
                                         "referenceLogProbs", "sumPiSquared", "importanceWeights",
                                         "nonFinite"},
                                        {"advantages", "returns"});

// Values of nonFinite; 0: NaN is unscored, infinity an error of the kernel.
constexpr double leave_out = 1;
constexpr double refuse = 2;

// What a call needs beside its arrays; empty where the arrays serve as they are.
template <typename Float>
struct Prepared {
  std::vector<Float> rewards;
  std::vector<Float> baselines;
  std::vector<Float> penalties;
};

struct Rule {
  rl::AdvantageRule advantage;
  rl::KlRule kl;
  bool kl_in_reward = false;
};

// Baselines come once per completion or once per group.
template <typename Float>
const Float* baselines_of(const Call& call, const rl::AdvantageBatch<Float>& batch, std::size_t rows,
                          std::vector<Float>& each) {
  constexpr std::size_t at = advantage_signature.at("baselines");
  if (call.length(at) == rows || call.length(at) != batch.groups) {
    const Float* values = call.required<Float>(at, rows);
    call.check_finite<Float>(at);
    return values;
  }
  const Float* values = call.required<Float>(at, batch.groups);
  call.check_finite<Float>(at);
  each.resize(rows);
  for (std::size_t g = 0; g < batch.groups; ++g) {
    for (std::int32_t i = batch.group_offsets[g]; i < batch.group_offsets[g + 1]; ++i) {
      each[static_cast<std::size_t>(i)] = values[g];
    }
  }
  return each.data();
}

// coefficient x KL of each counted token, given or estimated from the log-probs.
template <typename Float>
const Float* penalties_of(const Call& call, const Rule& rule, const std::uint8_t* mask, std::size_t tokens,
                          std::vector<Float>& estimated) {
  constexpr const Signature& at = advantage_signature;
  if (call.given(at.at("penalties"))) {
    const Float* penalties = call.data<Float>(at.at("penalties"), tokens);
    call.check_finite<Float>(at.at("penalties"), mask);
    return penalties;
  }
  if (!rule.kl_in_reward) return nullptr;
  const Float* log_probs = call.required<Float>(at.at("logProbs"), tokens);
  const Float* reference = call.required<Float>(at.at("referenceLogProbs"), tokens);
  call.check_finite<Float>(at.at("logProbs"), mask);
  call.check_finite<Float>(at.at("referenceLogProbs"), mask);
  estimated.resize(tokens);
  for (std::size_t t = 0; t < tokens; ++t) {
    if (mask && mask[t] == 0) continue;
    const auto kl =
        static_cast<Float>(rl::kl_divergence(rule.kl, log_probs[t], reference[t], log_probs[t]).value);
    estimated[t] = static_cast<Float>(kl * rule.kl.coefficient);
  }
  return estimated.data();
}

// A reward that is NaN or infinite becomes "this function did not judge the completion".
template <typename Float>
void leave_out_not_finite(rl::AdvantageBatch<Float>& batch, std::size_t rows, Prepared<Float>& prepared) {
  const std::size_t count = rows * batch.functions;
  prepared.rewards.assign(batch.rewards, batch.rewards + count);
  for (Float& reward : prepared.rewards) {
    if (!std::isfinite(reward)) reward = std::numeric_limits<Float>::quiet_NaN();
  }
  batch.rewards = prepared.rewards.data();
}

template <typename Float>
void advantages(const Rule& rule, const Call& call, double* numbers) {
  constexpr const Signature& at = advantage_signature;
  rl::AdvantageBatch<Float> batch;
  Prepared<Float> prepared;
  batch.groups = call.offsets(at.at("groupOffsets"), batch.group_offsets);
  const auto rows = static_cast<std::size_t>(batch.group_offsets[batch.groups]);
  batch.functions = call.natural(at.at("functions"), 1, 1);
  batch.rewards = call.required<Float>(at.at("rewards"), rows * batch.functions);
  batch.weights = call.data<double>(at.at("weights"), batch.functions);
  batch.scored = call.data<std::uint8_t>(at.at("scored"), rows);
  const double not_finite = call.number(at.at("nonFinite"), 0);
  if (not_finite == leave_out) leave_out_not_finite(batch, rows, prepared);
  if (not_finite == refuse) {
    call.check_finite<Float>(at.at("rewards"), nullptr, "; or set nonFinite to unscored", "REWARD_INVALID");
  }
  if (rule.advantage.baseline == rl::Baseline::given) {
    batch.baselines = baselines_of(call, batch, rows, prepared.baselines);
  }
  std::size_t tokens = 0;
  if (call.given(at.at("cuSeqlens"))) {
    if (call.offsets(at.at("cuSeqlens"), batch.cu_seqlens) != rows)
      invalid("cuSeqlens", "completions + 1 elements");
    tokens = static_cast<std::size_t>(batch.cu_seqlens[rows]);
    batch.mask = call.data<std::uint8_t>(at.at("mask"), tokens);
    batch.penalties = penalties_of(call, rule, batch.mask, tokens, prepared.penalties);
    if (rule.advantage.estimator == rl::Estimator::gae) {
      batch.values = call.required<Float>(at.at("values"), tokens);
      call.check_finite<Float>(at.at("values"), batch.mask);
    }
    if (rule.advantage.baseline == rl::Baseline::optimal_token) {
      batch.log_probs = call.required<Float>(at.at("logProbs"), tokens);
      batch.sum_pi_squared = call.required<Float>(at.at("sumPiSquared"), tokens);
      batch.importance_weights = call.data<Float>(at.at("importanceWeights"), tokens);
      call.check_finite<Float>(at.at("logProbs"), batch.mask);
      call.check_finite<Float>(at.at("sumPiSquared"), batch.mask);
      call.check_finite<Float>(at.at("importanceWeights"), batch.mask);
    }
  } else if (looks_at_tokens(rule.advantage)) {
    invalid("cuSeqlens", "the boundaries of the completions: this algorithm looks at tokens");
  }
  check_cancelled();
  const bool per_token = rl::advantages_per_token(rule.advantage, batch);
  auto* values = call.written<Float>(at.at("advantages"), per_token ? tokens : rows);
  auto* returns = rule.advantage.estimator == rl::Estimator::gae
                      ? call.written<Float>(at.at("returns"), tokens)
                      : nullptr;
  const rl::AdvantageMetrics metrics =
      device::compute_advantages(device::chosen(), rule.advantage, batch, values, returns);
  write_numbers(numbers, {metrics.reward, metrics.reward_std, metrics.frac_reward_zero_std,
                          static_cast<double>(metrics.dead_groups),
                          static_cast<double>(metrics.scored_groups), static_cast<double>(metrics.unscored)});
}

}  // namespace

void register_rl_advantages(Napi::Env env, Napi::Object exports) {
  export_rl_call(env, exports, "rlAdvantages", advantage_signature, 6, [](const Napi::Object& from) {
    const Rule rule{advantage_rule(from), kl_rule(part(from, "kl")), boolean(from, "klInReward", false)};
    return either_type([rule](const Call& call, double* numbers, auto type) {
      advantages<decltype(type)>(rule, call, numbers);
    });
  });
}

}  // namespace adjudge
