// Advantages of completions: a thread per group where groups are small, else a warp. Reads 4 bytes a
// completion and function once from memory (the later passes over a group find it in cache), writes 4. Batch
// statistics, where a rule needs them, are one more pass; rules of several functions, per token, or whitened
// keep f64 outcomes in between.
#include "cuda/advantage.cuh"

#include <cmath>

#include "cuda/spread.cuh"
#include "cuda/table.h"

namespace adjudge::cuda {
namespace {

using namespace rl;

// Of all scored completions of the batch.
struct Whole {
  double mean;
  double deviation;
  double nonzero;  // GPG's factor
};

struct WholePart {
  Moments moments;
  double low, high, nonzero;
};

struct GroupPart {
  Moments moments;
  double dead, scored;
};

struct Outputs {
  float* advantages;       // final, or null
  double* outcomes;        // [completions], or null
  bool accumulate;         // onto outcomes and constant
  std::uint8_t* compared;  // [completions], or null
  std::uint8_t* constant;  // [groups], or null
  bool single_counts;      // a single member stays compared: several functions are summed
};

SIMT_DEVICE bool compares(Baseline baseline) {
  return baseline != Baseline::batch && baseline != Baseline::given && baseline != Baseline::none;
}

SIMT_DEVICE double deviation_of(const Moments& moments, bool bessel) {
  const double divisor = moments.count - (bessel ? 1.0 : 0.0);
  return divisor > 0 ? sqrt(moments.squares / divisor) : 0;
}

template <int Team, typename T, typename Combine>
SIMT_DEVICE T team_reduce(T value, Combine combine) {
  if constexpr (Team == 1) return value;
  return warp_reduce(value, combine);
}

SIMT_KERNEL whole_kernel(AdvantageView view, std::int64_t per_block, WholePart* parts, FaultKey* fault) {
  const std::int64_t begin = simt::block() * per_block;
  const std::int64_t end = begin + per_block < view.completions ? begin + per_block : view.completions;
  MomentsOfThread moments{};
  double low = INFINITY, high = -INFINITY, nonzero = 0;
  for (std::int64_t i = begin + simt::thread(); i < end; i += simt::threads()) {
    const Reward reward = reward_of(view, i, fault);
    if (!reward.scored) continue;
    moments.add(reward.value);
    low = reward.value < low ? reward.value : low;
    high = reward.value > high ? reward.value : high;
    nonzero += reward.value != 0 ? 1 : 0;
  }
  const Moments merged_moments = block_moments(moments.result());
  low = block_reduce(low, Smaller{});
  high = block_reduce(high, Larger{});
  nonzero = block_sum(nonzero);
  if (simt::thread() == 0) parts[simt::block()] = {merged_moments, low, high, nonzero};
}

SIMT_KERNEL whole_finish_kernel(AdvantageRule rule, const WholePart* parts, std::int64_t count,
                                Whole* whole) {
  Moments moments = no_moments();
  double low = INFINITY, high = -INFINITY, nonzero = 0;
  for (std::int64_t i = simt::thread(); i < count; i += simt::threads()) {
    moments = merged(moments, parts[i].moments);
    low = parts[i].low < low ? parts[i].low : low;
    high = parts[i].high > high ? parts[i].high : high;
    nonzero += parts[i].nonzero;
  }
  moments = block_moments(moments);
  low = block_reduce(low, Smaller{});
  high = block_reduce(high, Larger{});
  nonzero = block_sum(nonzero);
  if (simt::thread() != 0) return;
  const bool constant = !(low < high);
  whole->mean = constant && moments.count > 0 ? low : moments.mean;
  whole->deviation = constant ? 0 : deviation_of(moments, rule.bessel);
  whole->nonzero = moments.count / (nonzero > 1 ? nonzero : 1) / rule.f_norm;
}

template <int Team>
SIMT_DEVICE void group(const AdvantageView& view, const Whole* whole, const Outputs& out, std::int64_t g,
                       int member, GroupPart& part, FaultKey* fault) {
  const AdvantageRule& rule = view.rule;
  const std::int64_t begin = view.batch.group_offsets[g];
  const std::int64_t end = view.batch.group_offsets[g + 1];
  double count = 0, sum = 0, low = INFINITY, high = -INFINITY, weighted = 0, lengths = 0;
  for (std::int64_t i = begin + member; i < end; i += Team) {
    const Reward reward = reward_of(view, i, fault);
    if (!reward.scored) continue;
    count += 1;
    sum += reward.value;
    low = reward.value < low ? reward.value : low;
    high = reward.value > high ? reward.value : high;
    if (view.row_lengths) {
      weighted += view.row_lengths[i] * reward.value;
      lengths += view.row_lengths[i];
    }
  }
  count = team_reduce<Team>(count, Plus{});
  sum = team_reduce<Team>(sum, Plus{});
  low = team_reduce<Team>(low, Smaller{});
  high = team_reduce<Team>(high, Larger{});
  if (view.row_lengths) {
    weighted = team_reduce<Team>(weighted, Plus{});
    lengths = team_reduce<Team>(lengths, Plus{});
  }
  const bool constant = !(low < high);
  const double mean = count == 0 ? 0 : constant ? low : sum / count;
  double squares = 0;
  for (std::int64_t i = begin + member; i < end && !constant; i += Team) {
    const Reward reward = reward_of(view, i);
    if (reward.scored) squares += (reward.value - mean) * (reward.value - mean);
  }
  squares = team_reduce<Team>(squares, Plus{});

  std::int64_t best = INT64_MAX;
  double second = -INFINITY;
  if (rule.baseline == Baseline::second_best) {
    for (std::int64_t i = end - 1 - member; i >= begin; i -= Team) {
      const Reward reward = reward_of(view, i);
      if (reward.scored && reward.value == high) best = i;
    }
    best = team_reduce<Team>(best, Smaller{});
    for (std::int64_t i = begin + member; i < end; i += Team) {
      const Reward reward = reward_of(view, i);
      if (reward.scored && i != best && reward.value > second) second = reward.value;
    }
    second = team_reduce<Team>(second, Larger{});
  }

  const Moments moments{count, mean, squares};
  const double deviation = deviation_of(moments, rule.bessel);
  const Scale scale = view.function >= 0 && rule.scale == Scale::batch_advantage ? Scale::group : rule.scale;
  const bool single = count == 1 && (compares(rule.baseline) || scale == Scale::group);
  if (member == 0) {
    if (single && rule.singleton == Singleton::error) note_fault(fault, FaultKind::group_of_one, g);
    part.moments = merged(part.moments, moments);
    const bool all_constant = constant && !(out.accumulate && !out.constant[g]);
    if (out.constant) out.constant[g] = all_constant;
    if (view.function >= 0) {
      bool any = false;
      AdvantageView combined = view;
      combined.function = -1;
      for (std::int64_t i = begin; i < end && !any; ++i) any = reward_of(combined, i).scored;
      part.scored += any ? 1 : 0;
      part.dead += any && all_constant ? 1 : 0;
    } else if (count > 0) {
      part.scored += 1;
      part.dead += constant ? 1 : 0;
    }
  }
  if (!out.advantages && !out.outcomes) return;
  for (std::int64_t i = begin + member; i < end; i += Team) {
    const Reward reward = reward_of(view, i);
    const bool compared = reward.scored && !(single && rule.singleton == Singleton::zero);
    double advantage = 0;
    if (compared) {
      double baseline = 0;
      if (rule.baseline == Baseline::group) baseline = mean;
      if (rule.baseline == Baseline::batch) baseline = whole->mean;
      if (rule.baseline == Baseline::length_weighted) baseline = lengths > 0 ? weighted / lengths : 0;
      if (rule.baseline == Baseline::leave_one_out) {
        baseline = constant ? reward.value : (mean * count - reward.value) / (count - 1);
      }
      if (rule.baseline == Baseline::second_best) baseline = i == best ? second : reward.value;
      if (rule.baseline == Baseline::given) baseline = view.batch.baselines[i];
      if (single && compares(rule.baseline)) baseline = 0;
      advantage = reward.value - baseline;
      if (scale == Scale::group) advantage /= (single ? 1.0 : deviation) + rule.epsilon;
      if (scale == Scale::batch) advantage /= whole->deviation + rule.epsilon;
      if (scale == Scale::nonzero) advantage *= whole->nonzero;
    }
    if (out.compared) {
      AdvantageView combined = view;
      combined.function = -1;
      out.compared[i] = out.single_counts ? reward_of(combined, i).scored : compared;
    }
    if (out.outcomes) {
      const bool weighted_sum = view.function >= 0 && view.batch.weights;
      const double weight = weighted_sum ? view.batch.weights[view.function] : 1.0;
      out.outcomes[i] = (out.accumulate ? out.outcomes[i] : 0) + weight * advantage;
    } else {
      const bool clip = compared && rule.clip_place == ClipPlace::after_baseline;
      out.advantages[i] = static_cast<float>(clip ? clipped(rule, advantage) : advantage);
    }
  }
}

template <int Team>
SIMT_KERNEL group_kernel(AdvantageView view, const Whole* whole, Outputs out, GroupPart* parts,
                         FaultKey* fault) {
  const std::int64_t g = (simt::block() * simt::threads() + simt::thread()) / Team;
  GroupPart part{no_moments(), 0, 0};
  if (g < static_cast<std::int64_t>(view.batch.groups)) {
    group<Team>(view, whole, out, g, simt::thread() % Team, part, fault);
  }
  part.moments = block_moments(part.moments);
  part.dead = block_sum(part.dead);
  part.scored = block_sum(part.scored);
  if (simt::thread() == 0) parts[simt::block()] = part;
}

// `statistics`: of the sums of all functions; `groups`: where dead groups were counted.
SIMT_KERNEL metrics_kernel(std::int64_t completions, const GroupPart* statistics, const GroupPart* groups,
                           std::int64_t count, AdvantageMetrics* metrics) {
  Moments moments = no_moments();
  double dead = 0, scored = 0;
  for (std::int64_t i = simt::thread(); i < count; i += simt::threads()) {
    moments = merged(moments, statistics[i].moments);
    dead += groups[i].dead;
    scored += groups[i].scored;
  }
  moments = block_moments(moments);
  dead = block_sum(dead);
  scored = block_sum(scored);
  if (simt::thread() != 0) return;
  AdvantageMetrics result;
  result.reward = moments.count > 0 ? moments.mean : NAN;
  result.reward_std = moments.count > 1 ? deviation_of(moments, true) : NAN;
  result.frac_reward_zero_std = scored > 0 ? dead / scored : 0;
  result.dead_groups = static_cast<std::size_t>(dead);
  result.scored_groups = static_cast<std::size_t>(scored);
  result.unscored = static_cast<std::size_t>(static_cast<double>(completions) - moments.count);
  *metrics = result;
}

// Outcomes to advantages: clip, and the whole batch's centre and spread where the rule says so.
SIMT_KERNEL outcome_moments_kernel(AdvantageView view, std::int64_t per_block, double* outcomes,
                                   const std::uint8_t* compared, WholePart* parts) {
  const std::int64_t begin = simt::block() * per_block;
  const std::int64_t end = begin + per_block < view.completions ? begin + per_block : view.completions;
  MomentsOfThread moments{};
  double low = INFINITY, high = -INFINITY;
  for (std::int64_t i = begin + simt::thread(); i < end; i += simt::threads()) {
    if (!compared[i]) continue;
    if (view.rule.clip_place == ClipPlace::after_baseline) outcomes[i] = clipped(view.rule, outcomes[i]);
    moments.add(outcomes[i]);
    low = outcomes[i] < low ? outcomes[i] : low;
    high = outcomes[i] > high ? outcomes[i] : high;
  }
  const Moments merged_moments = block_moments(moments.result());
  low = block_reduce(low, Smaller{});
  high = block_reduce(high, Larger{});
  if (simt::thread() == 0) parts[simt::block()] = {merged_moments, low, high, 0};
}

SIMT_KERNEL outcome_kernel(AdvantageView view, std::int64_t per_block, const Whole* whole,
                           const std::uint8_t* compared, double* outcomes, float* advantages,
                           std::uint8_t* scored) {
  const std::int64_t begin = simt::block() * per_block;
  const std::int64_t end = begin + per_block < view.completions ? begin + per_block : view.completions;
  for (std::int64_t i = begin + simt::thread(); i < end; i += simt::threads()) {
    if (view.rule.scale == Scale::batch_advantage && compared[i]) {
      outcomes[i] = (outcomes[i] - whole->mean) / (whole->deviation + view.rule.epsilon);
    }
    if (advantages) advantages[i] = static_cast<float>(outcomes[i]);
    if (scored) scored[i] = reward_of(view, i).scored;
  }
}

int advantages(const AdvantageRule& rule, const AdvantageBatch<float>& batch, const Extent& extent,
               float* results, float* returns, AdvantageMetrics* metrics, Fault* fault, Launch& launch) {
  const std::int64_t n = extent.completions;
  const auto groups = static_cast<std::int64_t>(batch.groups);
  const bool per_token = advantages_per_token(rule, batch);
  const bool separate = rule.multi_objective == MultiObjective::normalize_then_sum;
  const bool whole_scale = rule.scale == Scale::batch_advantage;
  const bool staged = separate || whole_scale || per_token;
  const bool statistics =
      rule.baseline == Baseline::batch || rule.scale == Scale::batch || rule.scale == Scale::nonzero;
  const bool penalised = batch.penalties && !rule.penalty_per_token;
  const bool lengths = rule.baseline == Baseline::length_weighted;

  Enqueue enqueue(launch, 256);
  const int threads = enqueue.threads();
  const bool small = groups == 0 || n / groups <= 32;
  const std::int64_t group_blocks = blocks_of(groups * (small ? 1 : 32), threads);
  constexpr std::int64_t per_block = 8192;
  const std::int64_t blocks = blocks_of(n, per_block);

  auto* key = enqueue.take<FaultKey>(1);
  auto* whole = enqueue.take<Whole>(1);
  auto* whole_parts = enqueue.take<WholePart>(statistics || whole_scale || staged ? blocks : 0);
  auto* group_parts = enqueue.take<GroupPart>(group_blocks);
  auto* sum_parts = enqueue.take<GroupPart>(separate ? group_blocks : 0);
  auto* outcomes = enqueue.take<double>(staged ? n : 0);
  auto* compared = enqueue.take<std::uint8_t>(staged ? n : 0);
  auto* constant = enqueue.take<std::uint8_t>(separate ? groups : 0);
  auto* row_penalties = enqueue.take<double>(penalised ? n : 0);
  auto* row_lengths = enqueue.take<double>(lengths ? n : 0);
  auto* scored = enqueue.take<std::uint8_t>(per_token ? n : 0);
  TokenAdvantages tokens{};
  tokens.outcomes = outcomes;
  tokens.scored = scored;
  tokens.tokens = extent.tokens;
  tokens.token_rewards = enqueue.take<float>(per_token ? extent.tokens : 0);
  tokens.row_moments = enqueue.take<double>(rule.whitening.enabled ? 3 * n : 0);
  tokens.whitening = enqueue.take<double>(2);
  const bool optimal = rule.baseline == Baseline::optimal_token;
  const bool aligned = optimal && rule.alignment == Alignment::counted;
  tokens.optimal.weights = enqueue.take<double>(optimal ? extent.tokens : 0);
  tokens.optimal.lengths = enqueue.take<std::int32_t>(optimal ? n : 0);
  auto* token_at = enqueue.take<std::int32_t>(aligned ? extent.tokens : 0);
  tokens.optimal.token_at = aligned ? token_at : nullptr;
  if (enqueue.stops()) return enqueue.status();

  AdvantageView view{rule, batch, n, penalised ? row_penalties : nullptr, lengths ? row_lengths : nullptr,
                     -1};
  begin_faults(enqueue, key);
  if (penalised || lengths) {
    enqueue_row_sums(enqueue, view, penalised ? row_penalties : nullptr, lengths ? row_lengths : nullptr);
  }
  const auto enqueue_groups = [&](const Outputs& out, GroupPart* parts) {
    if (small) {
      enqueue("group_kernel", group_kernel<1>, group_blocks, view, whole, out, parts, key);
    } else {
      enqueue("group_kernel", group_kernel<32>, group_blocks, view, whole, out, parts, key);
    }
  };
  if (separate) enqueue_groups(Outputs{}, sum_parts);
  const int passes = separate ? static_cast<int>(batch.functions) : 1;
  for (int k = 0; k < passes; ++k) {
    if (separate) view.function = k;
    if (statistics) {
      enqueue(ADJUDGE_NAMED(whole_kernel), blocks, view, per_block, whole_parts, key);
      enqueue(ADJUDGE_NAMED(whole_finish_kernel), 1, rule, whole_parts, blocks, whole);
    }
    Outputs out{};
    out.advantages = staged ? nullptr : results;
    out.outcomes = staged ? outcomes : nullptr;
    out.accumulate = k > 0;
    out.compared = staged ? compared : nullptr;
    out.constant = separate ? constant : nullptr;
    out.single_counts = separate;
    enqueue_groups(out, group_parts);
  }
  view.function = -1;
  enqueue(ADJUDGE_NAMED(metrics_kernel), 1, n, separate ? sum_parts : group_parts, group_parts, group_blocks,
          metrics);
  if (staged) {
    enqueue(ADJUDGE_NAMED(outcome_moments_kernel), blocks, view, per_block, outcomes, compared, whole_parts);
    enqueue(ADJUDGE_NAMED(whole_finish_kernel), 1, rule, whole_parts, blocks, whole);
    enqueue(ADJUDGE_NAMED(outcome_kernel), blocks, view, per_block, whole, compared, outcomes,
            per_token ? nullptr : results, per_token ? scored : nullptr);
  }
  if (per_token) enqueue_token_advantages(enqueue, view, tokens, results, returns, key);
  end_faults(enqueue, key, fault);
  return enqueue.status();
}

}  // namespace

void add_advantages(Kernels& table) { table.advantages = advantages; }

}  // namespace adjudge::cuda
