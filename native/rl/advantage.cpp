#include "rl/advantage.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "rl/token_returns.h"

namespace adjudge::rl {
namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

struct Spread {
  std::size_t count = 0;
  double mean = 0;
  double deviation = 0;
  bool constant = true;
};

// Two passes, so that a nearly constant group keeps its digits.
Spread spread_of(const std::vector<double>& values, const std::vector<std::uint8_t>& scored,
                 std::size_t begin, std::size_t end, bool bessel) {
  Spread spread;
  double sum = 0;
  double first = 0;
  for (std::size_t i = begin; i < end; ++i) {
    if (!scored[i]) continue;
    if (spread.count == 0) first = values[i];
    spread.constant = spread.constant && values[i] == first;
    sum += values[i];
    ++spread.count;
  }
  if (spread.count == 0) return spread;
  spread.mean = spread.constant ? first : sum / static_cast<double>(spread.count);
  double squares = 0;
  for (std::size_t i = begin; i < end; ++i) {
    if (scored[i]) squares += (values[i] - spread.mean) * (values[i] - spread.mean);
  }
  const double divisor = static_cast<double>(spread.count) - (bessel ? 1.0 : 0.0);
  spread.deviation = divisor > 0 ? std::sqrt(squares / divisor) : 0;
  return spread;
}

template <typename Float>
double token_count(const AdvantageBatch<Float>& batch, std::size_t row) {
  double count = 0;
  for (std::int32_t t = batch.cu_seqlens[row]; t < batch.cu_seqlens[row + 1]; ++t) {
    if (!batch.mask || batch.mask[t]) ++count;
  }
  return count;
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
    if (scored[i] && !std::isfinite(sum)) {
      throw Error{"REWARD_INVALID",
                  "reward of completion " + std::to_string(i) +
                      " is infinite; give a finite number, or mark the completion unscored"};
    }
  }
}

double group_baseline(const AdvantageRule& rule, const Spread& group, const Spread& whole, double weighted,
                      double reward) {
  switch (rule.baseline) {
    case Baseline::group:
      return group.mean;
    case Baseline::batch:
      return whole.mean;
    case Baseline::length_weighted:
      return weighted;
    case Baseline::leave_one_out: {
      if (group.constant) return reward;
      const double count = static_cast<double>(group.count);
      return (group.mean * count - reward) / (count - 1);
    }
    case Baseline::none:
      return 0;
  }
  return 0;
}

template <typename Float>
double length_weighted_mean(const AdvantageBatch<Float>& batch, const std::vector<double>& rewards,
                            const std::vector<std::uint8_t>& scored, std::size_t begin, std::size_t end) {
  double sum = 0;
  double lengths = 0;
  for (std::size_t i = begin; i < end; ++i) {
    if (!scored[i]) continue;
    const double length = token_count(batch, i);
    sum += length * rewards[i];
    lengths += length;
  }
  return lengths > 0 ? sum / lengths : 0;
}

bool needs_group(const AdvantageRule& rule) {
  return rule.baseline == Baseline::group || rule.baseline == Baseline::leave_one_out ||
         rule.baseline == Baseline::length_weighted || rule.scale == Scale::group;
}

void summarise(AdvantageMetrics& metrics, const std::vector<double>& rewards,
               const std::vector<std::uint8_t>& scored) {
  const Spread whole = spread_of(rewards, scored, 0, rewards.size(), true);
  metrics.unscored = rewards.size() - whole.count;
  metrics.reward = whole.count > 0 ? whole.mean : not_a_number;
  metrics.reward_std = whole.count > 1 ? whole.deviation : not_a_number;
}

}  // namespace

template <typename Float>
AdvantageResult<Float> compute_advantages(const AdvantageRule& rule, const AdvantageBatch<Float>& batch) {
  const std::size_t rows = batch.groups > 0 ? static_cast<std::size_t>(batch.group_offsets[batch.groups]) : 0;
  std::vector<double> rewards(rows);
  std::vector<std::uint8_t> scored(rows);
  combine(batch, rewards, scored);

  AdvantageResult<Float> result;
  auto clip = [&](double x) { return std::min(std::max(x, rule.clip_low), rule.clip_high); };
  const bool clip_first = rule.clip_place == ClipPlace::before_baseline;
  if (clip_first) {
    for (double& reward : rewards) reward = clip(reward);
  }
  if (batch.penalties && !rule.penalty_per_token) {
    for (std::size_t i = 0; i < rows; ++i) {
      if (scored[i]) rewards[i] -= penalty_of_row(batch, i);
    }
  }
  summarise(result.metrics, rewards, scored);

  const Spread whole = spread_of(rewards, scored, 0, rows, rule.bessel);
  std::vector<double> advantages(rows, 0.0);
  std::vector<std::uint8_t> compared = scored;  // those with something to be compared with
  for (std::size_t g = 0; g < batch.groups; ++g) {
    const auto begin = static_cast<std::size_t>(batch.group_offsets[g]);
    const auto end = static_cast<std::size_t>(batch.group_offsets[g + 1]);
    const Spread group = spread_of(rewards, scored, begin, end, rule.bessel);
    if (group.count > 0) ++result.metrics.scored_groups;
    if (group.count > 0 && group.constant) ++result.metrics.dead_groups;
    const bool single = group.count == 1 && needs_group(rule);
    const double weighted = rule.baseline == Baseline::length_weighted
                                ? length_weighted_mean(batch, rewards, scored, begin, end)
                                : 0;
    for (std::size_t i = begin; i < end; ++i) {
      if (single && rule.singleton == Singleton::zero) compared[i] = 0;
      if (!compared[i]) continue;
      const double baseline = single && rule.baseline != Baseline::batch && rule.baseline != Baseline::none
                                  ? 0
                                  : group_baseline(rule, group, whole, weighted, rewards[i]);
      double advantage = rewards[i] - baseline;
      if (rule.scale == Scale::group) advantage /= (single ? 1.0 : group.deviation) + rule.epsilon;
      if (rule.scale == Scale::batch) advantage /= whole.deviation + rule.epsilon;
      advantages[i] = clip_first ? advantage : clip(advantage);
    }
  }
  if (rule.scale == Scale::batch_advantage) {
    const Spread spread = spread_of(advantages, compared, 0, rows, rule.bessel);
    for (std::size_t i = 0; i < rows; ++i) {
      if (compared[i]) advantages[i] = (advantages[i] - spread.mean) / (spread.deviation + rule.epsilon);
    }
  }
  if (result.metrics.scored_groups > 0) {
    result.metrics.frac_reward_zero_std =
        static_cast<double>(result.metrics.dead_groups) / static_cast<double>(result.metrics.scored_groups);
  }

  const bool discounted = rule.gamma != 1;
  result.per_token = rule.whitening.enabled || discounted || (batch.penalties && rule.penalty_per_token);
  if (!result.per_token) {
    result.values.assign(advantages.begin(), advantages.end());
    return result;
  }
  std::vector<double> tokens = token_returns(rule, batch, advantages, scored);
  if (rule.whitening.enabled) whiten_tokens(rule.whitening, batch, scored, tokens);
  result.values.assign(tokens.begin(), tokens.end());
  return result;
}

template AdvantageResult<float> compute_advantages(const AdvantageRule&, const AdvantageBatch<float>&);
template AdvantageResult<double> compute_advantages(const AdvantageRule&, const AdvantageBatch<double>&);

}  // namespace adjudge::rl
