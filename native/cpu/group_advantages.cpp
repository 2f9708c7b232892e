#include "native/cpu/group_advantages.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "native/core/cpu_features.h"
#include "native/core/thread_pool.h"
#include "native/cpu/group_advantages_kernels.h"

namespace adjudge {
namespace {

using namespace rl;

// What a chunk of groups should have, and of how many groups it has a multiple, so that only the last one
// has fewer than a kernel takes at once.
constexpr std::int64_t chunk_completions = 32768;
constexpr std::int64_t chunk_multiple = 16;

// Outputs beyond what the caches hold are better written past them.
constexpr std::int64_t streamed_completions = std::int64_t{8} << 20;

const GroupAdvantageKernels& kernels() {
#if defined(__x86_64__)
  switch (selected_instruction_set()) {
    case InstructionSet::portable:
      return group_advantages_portable;
    case InstructionSet::avx2:
      return group_advantages_avx2;
    default:
      return group_advantages_avx512;
  }
#else
  return group_advantages_portable;
#endif
}

bool compares(Baseline baseline) {
  return baseline == Baseline::group || baseline == Baseline::leave_one_out;
}

GroupCentre centre_of(Baseline baseline) {
  if (compares(baseline)) return GroupCentre::group;
  if (baseline == Baseline::batch) return GroupCentre::batch;
  return baseline == Baseline::given ? GroupCentre::given : GroupCentre::zero;
}

GroupRule group_rule(const AdvantageRule& rule, const AdvantageBatch<float>& batch) {
  const bool bounds = !std::isinf(rule.clip_low) || !std::isinf(rule.clip_high);
  const bool first = rule.clip_place == ClipPlace::before_baseline;
  GroupRule result = {};
  result.weight = batch.weights ? batch.weights[0] : 1;
  result.bounds_first = bounds && first;
  result.bounds_last = bounds && !first;
  result.low = rule.clip_low;
  result.high = rule.clip_high;
  result.centre = centre_of(rule.baseline);
  result.leave_one_out = rule.baseline == Baseline::leave_one_out;
  result.group_scale = rule.scale == Scale::group;
  result.batch_factor = 1;
  result.epsilon = rule.epsilon;
  result.bessel = rule.bessel;
  result.alone = compares(rule.baseline) || rule.scale == Scale::group;
  result.alone_zero = rule.singleton != Singleton::reward;
  return result;
}

// Chan et al. 1983.
void merge(RewardSums& whole, const RewardSums& part) {
  whole.infinite = whole.infinite || part.infinite;
  if (part.count == 0) return;
  const auto left = static_cast<double>(whole.count), right = static_cast<double>(part.count);
  const double distance = part.mean - whole.mean;
  const double share = right / (left + right);
  whole.squares += part.squares + distance * distance * left * share;
  whole.mean = whole.count == 0 ? part.mean : whole.mean + distance * share;
  whole.count += part.count;
}

class Batch {
 public:
  Batch(const AdvantageRule& rule, const AdvantageBatch<float>& batch, float* advantages)
      : rule_(rule),
        group_(group_rule(rule, batch)),
        arrays_{batch.rewards,       batch.scored, batch.baselines,
                batch.group_offsets, advantages,   batch.groups > 0 ? batch.group_offsets[batch.groups] : 0},
        groups_(static_cast<std::int64_t>(batch.groups)),
        chunk_groups_(groups_of_chunk(groups_, arrays_.completions)),
        chunks_((groups_ + chunk_groups_ - 1) / chunk_groups_) {}

  bool run(AdvantageMetrics& metrics) {
    if (groups_ == 0) return finish({}, metrics);
    const bool whole_first = rule_.baseline == Baseline::batch || rule_.scale == Scale::batch;
    if (chunks_ == 1) {
      if (whole_first) set_batch(sum(0));
      return finish(write(0), metrics);
    }
    std::vector<GroupPart> parts(static_cast<std::size_t>(chunks_));
    if (whole_first) {
      each_chunk(parts, [&](std::int64_t chunk) { return GroupPart{sum(chunk), {}}; });
      set_batch(merged(parts).sums);
    }
    each_chunk(parts, [&](std::int64_t chunk) { return write(chunk); });
    return finish(merged(parts), metrics);
  }

 private:
  static std::int64_t groups_of_chunk(std::int64_t groups, std::int64_t completions) {
    if (completions <= chunk_completions) return std::max<std::int64_t>(groups, 1);
    const std::int64_t wanted = groups * chunk_completions / completions;
    if (wanted < chunk_multiple) return std::max<std::int64_t>(wanted, 1);
    return wanted / chunk_multiple * chunk_multiple;
  }

  template <typename Body>
  void each_chunk(std::vector<GroupPart>& parts, const Body& body) const {
    parallel_for(chunks_,
                 [&](std::int64_t chunk, int) { parts[static_cast<std::size_t>(chunk)] = body(chunk); });
  }

  static GroupPart merged(const std::vector<GroupPart>& parts) {
    GroupPart whole = {};
    for (const GroupPart& part : parts) {
      merge(whole.sums, part.sums);
      whole.counts.scored += part.counts.scored;
      whole.counts.dead += part.counts.dead;
      whole.counts.alone += part.counts.alone;
    }
    return whole;
  }

  std::int64_t first_group(std::int64_t chunk) const { return std::min(groups_, chunk * chunk_groups_); }

  RewardSums sum(std::int64_t chunk) const {
    return kernels_.sum(group_, arrays_, arrays_.offsets[first_group(chunk)],
                        arrays_.offsets[first_group(chunk + 1)]);
  }

  GroupPart write(std::int64_t chunk) const {
    const bool stream = arrays_.completions >= streamed_completions;
    const GroupPart part =
        kernels_.write(group_, arrays_, first_group(chunk), first_group(chunk + 1), stream);
#if defined(__x86_64__)
    if (stream) _mm_sfence();
#endif
    return part;
  }

  void set_batch(const RewardSums& whole) {
    if (rule_.baseline == Baseline::batch) group_.batch_centre = whole.mean;
    const double divisor = static_cast<double>(whole.count) - (rule_.bessel ? 1.0 : 0.0);
    const double deviation = divisor > 0 ? std::sqrt(whole.squares / divisor) : 0;
    if (rule_.scale == Scale::batch) group_.batch_factor = 1 / (deviation + rule_.epsilon);
  }

  bool finish(const GroupPart& part, AdvantageMetrics& metrics) const {
    const RewardSums& whole = part.sums;
    const GroupCounts& total = part.counts;
    if (whole.infinite) return false;
    if (total.alone > 0 && group_.alone && rule_.singleton == Singleton::error) return false;
    constexpr double none = std::numeric_limits<double>::quiet_NaN();
    const auto count = static_cast<double>(whole.count);
    metrics.reward = whole.count > 0 ? whole.mean : none;
    metrics.reward_std = whole.count > 1 ? std::sqrt(whole.squares / (count - 1)) : none;
    metrics.dead_groups = static_cast<std::size_t>(total.dead);
    metrics.scored_groups = static_cast<std::size_t>(total.scored);
    metrics.unscored = static_cast<std::size_t>(arrays_.completions - whole.count);
    if (total.scored > 0) {
      metrics.frac_reward_zero_std = static_cast<double>(total.dead) / static_cast<double>(total.scored);
    }
    return true;
  }

  const AdvantageRule& rule_;
  GroupRule group_;
  GroupArrays arrays_;
  std::int64_t groups_;
  std::int64_t chunk_groups_;
  std::int64_t chunks_;
  const GroupAdvantageKernels& kernels_ = kernels();
};

}  // namespace

bool group_advantages_apply(const AdvantageRule& rule, const AdvantageBatch<float>& batch) {
  const bool baseline = compares(rule.baseline) || rule.baseline == Baseline::batch ||
                        rule.baseline == Baseline::given || rule.baseline == Baseline::none;
  const bool scale = rule.scale == Scale::group || rule.scale == Scale::batch || rule.scale == Scale::none;
  return baseline && scale && batch.functions == 1 && !batch.penalties &&
         rule.multi_objective == MultiObjective::sum_then_normalize && !advantages_per_token(rule, batch);
}

bool group_advantages(const AdvantageRule& rule, const AdvantageBatch<float>& batch, float* advantages,
                      AdvantageMetrics& metrics) {
  return Batch(rule, batch, advantages).run(metrics);
}

}  // namespace adjudge
