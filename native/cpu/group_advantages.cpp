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

// The groups of chunk k are those that start in its range of completions.
constexpr std::int64_t chunk_completions = 8192;

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
        arrays_{batch.rewards, batch.scored, batch.baselines, batch.group_offsets, advantages},
        groups_(static_cast<std::int64_t>(batch.groups)),
        completions_(groups_ > 0 ? batch.group_offsets[groups_] : 0),
        chunks_(completions_ / chunk_completions + 1) {}

  bool run(AdvantageMetrics& metrics) {
    const bool whole_first = rule_.baseline == Baseline::batch || rule_.scale == Scale::batch;
    std::vector<RewardSums> sums(static_cast<std::size_t>(chunks_));
    std::vector<GroupCounts> counts(sums.size());
    const auto sum_chunk = [&](std::int64_t chunk) {
      const std::int64_t begin = completion_of(first_group(chunk));
      sums[static_cast<std::size_t>(chunk)] =
          kernels_.sum(group_, arrays_, begin, completion_of(first_group(chunk + 1)));
    };
    const auto write_chunk = [&](std::int64_t chunk) {
      counts[static_cast<std::size_t>(chunk)] = write(first_group(chunk), first_group(chunk + 1));
    };
    RewardSums whole = {};
    const auto merge_all = [&] {
      for (const RewardSums& part : sums) merge(whole, part);
    };
    if (whole_first) {
      each_chunk(sum_chunk);
      merge_all();
      set_batch(whole);
      each_chunk(write_chunk);
    } else {
      each_chunk([&](std::int64_t chunk) {
        sum_chunk(chunk);
        write_chunk(chunk);
      });
      merge_all();
    }
    return !whole.infinite && finish(whole, counts, metrics);
  }

 private:
  template <typename Body>
  void each_chunk(const Body& body) const {
    if (chunks_ == 1) return body(0);
    parallel_for(chunks_, [&](std::int64_t chunk, int) { body(chunk); });
  }

  std::int64_t first_group(std::int64_t chunk) const {
    if (chunk == 0) return 0;
    if (chunk == chunks_) return groups_;
    const std::int32_t* starts = arrays_.offsets;
    return std::lower_bound(starts, starts + groups_, chunk * chunk_completions) - starts;
  }

  std::int64_t completion_of(std::int64_t group) const { return groups_ > 0 ? arrays_.offsets[group] : 0; }

  // Past the caches where every group is whole vectors at aligned places: lines written in part are slow.
  GroupCounts write(std::int64_t begin, std::int64_t end) const {
    if (begin == end) return {};
    bool stream = completions_ >= streamed_completions &&
                  reinterpret_cast<std::uintptr_t>(arrays_.advantages) % (8 * sizeof(float)) == 0;
    for (std::int64_t g = begin; stream && g <= end; ++g) stream = arrays_.offsets[g] % 8 == 0;
    const GroupCounts counts = kernels_.write(group_, arrays_, begin, end, stream);
#if defined(__x86_64__)
    if (stream) _mm_sfence();
#endif
    return counts;
  }

  void set_batch(const RewardSums& whole) {
    if (rule_.baseline == Baseline::batch) group_.batch_centre = whole.mean;
    const double divisor = static_cast<double>(whole.count) - (rule_.bessel ? 1.0 : 0.0);
    const double deviation = divisor > 0 ? std::sqrt(whole.squares / divisor) : 0;
    if (rule_.scale == Scale::batch) group_.batch_factor = 1 / (deviation + rule_.epsilon);
  }

  bool finish(const RewardSums& whole, const std::vector<GroupCounts>& counts,
              AdvantageMetrics& metrics) const {
    GroupCounts total = {};
    for (const GroupCounts& part : counts) {
      total.scored += part.scored;
      total.dead += part.dead;
      total.alone += part.alone;
    }
    if (total.alone > 0 && group_.alone && rule_.singleton == Singleton::error) return false;
    constexpr double none = std::numeric_limits<double>::quiet_NaN();
    const auto count = static_cast<double>(whole.count);
    metrics.reward = whole.count > 0 ? whole.mean : none;
    metrics.reward_std = whole.count > 1 ? std::sqrt(whole.squares / (count - 1)) : none;
    metrics.dead_groups = static_cast<std::size_t>(total.dead);
    metrics.scored_groups = static_cast<std::size_t>(total.scored);
    metrics.unscored = static_cast<std::size_t>(completions_ - whole.count);
    if (total.scored > 0) {
      metrics.frac_reward_zero_std = static_cast<double>(total.dead) / static_cast<double>(total.scored);
    }
    return true;
  }

  const AdvantageRule& rule_;
  GroupRule group_;
  GroupArrays arrays_;
  std::int64_t groups_;
  std::int64_t completions_;
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
