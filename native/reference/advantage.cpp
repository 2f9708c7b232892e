#include "reference/advantage.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "rules/gae.h"
#include "reference/optimal_token_baseline.h"
#include "reference/outcome.h"
#include "reference/spread.h"
#include "reference/token_returns.h"

namespace adjudge::reference {

using namespace rl;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

double clipped(const AdvantageRule& rule, double value) {
  return std::min(std::max(value, rule.clip_low), rule.clip_high);
}

[[noreturn]] void refuse_infinite(std::size_t completion) {
  throw Error{"REWARD_INVALID", "reward of completion " + std::to_string(completion) +
                                    " is infinite; give a finite number, or mark the completion unscored"};
}

// Weighted sum over the functions that judged the completion; a completion that none judged is unscored.
template <typename Float>
void combine(const AdvantageBatch<Float>& batch, std::vector<double>& rewards,
             std::vector<std::uint8_t>& scored) {
  for (std::size_t i = 0; i < rewards.size(); ++i) {
    bool any = false;
    double sum = 0;
    for (std::size_t k = 0; k < batch.functions; ++k) {
      const double reward = batch.rewards[i * batch.functions + k];
      if (std::isnan(reward)) continue;
      any = true;
      sum += (batch.weights ? batch.weights[k] : 1.0) * reward;
    }
    scored[i] = any && (!batch.scored || batch.scored[i]);
    rewards[i] = scored[i] ? sum : 0;
    if (scored[i] && !std::isfinite(sum)) refuse_infinite(i);
  }
}

void centre_and_scale(const AdvantageRule& rule, const std::vector<std::uint8_t>& counted,
                      std::vector<double>& advantages) {
  const Spread spread = spread_of(advantages, counted, 0, advantages.size(), rule.bessel);
  for (std::size_t i = 0; i < advantages.size(); ++i) {
    if (counted[i]) advantages[i] = (advantages[i] - spread.mean) / (spread.deviation + rule.epsilon);
  }
}

// Each function's rewards are normalised by themselves, over the completions that it judged, and then summed.
template <typename Float>
Outcome normalize_then_sum(const AdvantageRule& rule, const AdvantageBatch<Float>& batch,
                           const std::vector<std::uint8_t>& scored) {
  const std::size_t rows = scored.size();
  const bool whole = rule.scale == Scale::batch_advantage;
  const OutcomeRule<Float> normalize(rule, whole ? Scale::group : rule.scale, batch);
  Outcome sum{std::vector<double>(rows, 0.0), scored, std::vector<std::uint8_t>(batch.groups, 1)};
  std::vector<double> rewards(rows);
  std::vector<std::uint8_t> judged(rows);
  for (std::size_t k = 0; k < batch.functions; ++k) {
    for (std::size_t i = 0; i < rows; ++i) {
      const double reward = batch.rewards[i * batch.functions + k];
      judged[i] = scored[i] && !std::isnan(reward);
      if (judged[i] && !std::isfinite(reward)) refuse_infinite(i);
      const bool clip = rule.clip_place == ClipPlace::before_baseline;
      rewards[i] = !judged[i] ? 0 : clip ? clipped(rule, reward) : reward;
    }
    const Outcome one = normalize(rewards, judged);
    const double weight = batch.weights ? batch.weights[k] : 1.0;
    for (std::size_t i = 0; i < rows; ++i) sum.advantages[i] += weight * one.advantages[i];
    for (std::size_t g = 0; g < batch.groups; ++g) sum.constant[g] = sum.constant[g] && one.constant[g];
  }
  return sum;
}

void summarise(AdvantageMetrics& metrics, const std::vector<double>& rewards,
               const std::vector<std::uint8_t>& scored) {
  const Spread whole = spread_of(rewards, scored, 0, rewards.size(), true);
  metrics.unscored = rewards.size() - whole.count;
  metrics.reward = whole.count > 0 ? whole.mean : not_a_number;
  metrics.reward_std = whole.count > 1 ? whole.deviation : not_a_number;
}

template <typename Float>
void count_groups(AdvantageMetrics& metrics, const AdvantageBatch<Float>& batch,
                  const std::vector<std::uint8_t>& scored, const std::vector<std::uint8_t>& constant) {
  for (std::size_t g = 0; g < batch.groups; ++g) {
    const auto begin = scored.begin() + batch.group_offsets[g];
    const auto end = scored.begin() + batch.group_offsets[g + 1];
    if (std::none_of(begin, end, [](std::uint8_t one) { return one != 0; })) continue;
    ++metrics.scored_groups;
    if (constant[g]) ++metrics.dead_groups;
  }
  if (metrics.scored_groups > 0) {
    metrics.frac_reward_zero_std =
        static_cast<double>(metrics.dead_groups) / static_cast<double>(metrics.scored_groups);
  }
}

// The outcome on the last counted token and the penalties are the rewards of GAE's steps.
template <typename Float>
std::vector<double> gae_tokens(const AdvantageRule& rule, const AdvantageBatch<Float>& batch,
                               const std::vector<double>& advantages, const std::vector<std::uint8_t>& scored,
                               Float* returns) {
  const GaeRule steps{rule.gamma, rule.lambda, rule.masked_return == MaskedReturn::skip};
  const std::size_t rows = advantages.size();
  std::vector<double> tokens(rows > 0 ? static_cast<std::size_t>(batch.cu_seqlens[rows]) : 0, 0.0);
  std::fill_n(returns, tokens.size(), Float{0});
  for (std::size_t i = 0; i < rows; ++i) {
    if (!scored[i]) continue;
    bool last = true;
    auto reward = [&](std::int32_t t) {
      const double outcome = last ? advantages[i] : 0;
      last = false;
      return outcome -
             (batch.penalties && rule.penalty_per_token ? static_cast<double>(batch.penalties[t]) : 0);
    };
    gae_sequence(
        steps, batch.cu_seqlens[i], batch.cu_seqlens[i + 1], 0, reward,
        [&](std::int32_t t) { return static_cast<double>(batch.values[t]); },
        [&](std::int32_t t) { return counts(batch, t); },
        [&](std::int32_t t, double advantage, double target) {
          tokens[static_cast<std::size_t>(t)] = advantage;
          returns[t] = static_cast<Float>(target);
        });
  }
  return tokens;
}

}  // namespace

template <typename Float>
AdvantageMetrics compute_advantages(const AdvantageRule& rule, const AdvantageBatch<Float>& batch,
                                    Float* values, Float* returns) {
  const std::size_t rows = batch.groups > 0 ? static_cast<std::size_t>(batch.group_offsets[batch.groups]) : 0;
  std::vector<double> rewards(rows);
  std::vector<std::uint8_t> scored(rows);
  combine(batch, rewards, scored);

  AdvantageMetrics metrics;
  const bool clip_first = rule.clip_place == ClipPlace::before_baseline;
  if (clip_first) {
    for (double& reward : rewards) reward = clipped(rule, reward);
  }
  if (batch.penalties && !rule.penalty_per_token) {
    for (std::size_t i = 0; i < rows; ++i) {
      if (scored[i]) rewards[i] -= penalty_of_row(batch, i);
    }
  }
  summarise(metrics, rewards, scored);

  const bool separate = rule.multi_objective == MultiObjective::normalize_then_sum;
  Outcome outcome = separate ? normalize_then_sum(rule, batch, scored)
                             : OutcomeRule<Float>(rule, rule.scale, batch)(rewards, scored);
  std::vector<double>& advantages = outcome.advantages;
  if (!clip_first) {
    for (std::size_t i = 0; i < rows; ++i) {
      if (outcome.compared[i]) advantages[i] = clipped(rule, advantages[i]);
    }
  }
  if (rule.scale == Scale::batch_advantage) centre_and_scale(rule, outcome.compared, advantages);
  count_groups(metrics, batch, scored, outcome.constant);

  if (!advantages_per_token(rule, batch)) {
    std::transform(advantages.begin(), advantages.end(), values,
                   [](double x) { return static_cast<Float>(x); });
    return metrics;
  }
  std::vector<double> tokens = rule.estimator == Estimator::gae
                                   ? gae_tokens(rule, batch, advantages, scored, returns)
                                   : token_returns(rule, batch, advantages, scored);
  if (rule.baseline == Baseline::optimal_token) subtract_optimal_token_baseline(rule, batch, scored, tokens);
  if (rule.whitening.enabled) whiten_tokens(rule.whitening, batch, scored, tokens);
  std::transform(tokens.begin(), tokens.end(), values, [](double x) { return static_cast<Float>(x); });
  return metrics;
}

template AdvantageMetrics compute_advantages(const AdvantageRule&, const AdvantageBatch<float>&, float*,
                                             float*);
template AdvantageMetrics compute_advantages(const AdvantageRule&, const AdvantageBatch<double>&, double*,
                                             double*);

}  // namespace adjudge::reference
