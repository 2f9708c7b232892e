#include "native/cpu/off_policy.h"

#include <algorithm>
#include <vector>

#include "native/core/cpu_features.h"
#include "native/core/thread_pool.h"
#include "native/cpu/off_policy_kernels.h"
#include "native/rules/off_policy_rows.h"

namespace adjudge {
namespace {

using namespace rl;

// The rows of chunk k are those that start in its range of tokens. A row is one thread's, and sums over rows
// are in their order, so that results do not depend on the threads.
constexpr std::int64_t chunk_tokens = 16384;

const OffPolicyKernels& select_kernels() {
#if defined(__x86_64__)
  const InstructionSet set = selected_instruction_set();
  if (set == InstructionSet::avx2) return off_policy_avx2;
  if (set != InstructionSet::portable) return off_policy_avx512;
#endif
  return off_policy_portable;
}

const OffPolicyKernels& kernels() {
  static const OffPolicyKernels& chosen = select_kernels();
  return chosen;
}

RolloutRow row_of(const RolloutBatch<float>& batch, std::int64_t row) {
  const std::int64_t begin = batch.cu_seqlens[row];
  return {batch.log_probs + begin, batch.rollout_log_probs + begin, batch.mask ? batch.mask + begin : nullptr,
          batch.cu_seqlens[row + 1] - begin};
}

WeightPart weigh(const WeightRule& rule, const RolloutRow& row, float* weights) {
  WeightPart part;
  if (needs_ratios(rule)) take_ratios(Alone{}, rule, kernels().ratios(rule, row), part);
  const RowWeight shared = row_weight_of(rule, part.log_sum, part.statistic);
  take_weights(Alone{}, kernels().weigh(rule, shared, row, weights), part);
  return part;
}

template <typename Body>
void each_row(const RolloutBatch<float>& batch, const Body& body) {
  const auto rows = static_cast<std::int64_t>(batch.rows);
  const std::int32_t* starts = batch.cu_seqlens;
  const std::int64_t chunks = rows > 0 ? starts[rows] / chunk_tokens + 1 : 0;
  const auto first_row = [&](std::int64_t chunk) {
    return chunk == chunks ? rows : std::lower_bound(starts, starts + rows, chunk * chunk_tokens) - starts;
  };
  const auto run = [&](std::int64_t chunk) {
    for (std::int64_t row = first_row(chunk); row < first_row(chunk + 1); ++row) body(row);
  };
  if (chunks == 1) return run(0);
  if (chunks > 1) parallel_for(chunks, [&](std::int64_t chunk, int) { run(chunk); });
}

}  // namespace

WeightMetrics importance_weights(const WeightRule& rule, const RolloutBatch<float>& batch, float* weights,
                                 float* sequences) {
  std::vector<WeightPart> parts(batch.rows);
  const bool of_sequences = rule.level == WeightLevel::sequence && sequences;
  each_row(batch, [&](std::int64_t row) {
    WeightPart& part = parts[static_cast<std::size_t>(row)];
    part = weigh(rule, row_of(batch, row), weights + batch.cu_seqlens[row]);
    if (of_sequences) sequences[row] = static_cast<float>(part.weight);
  });
  const auto rows = static_cast<std::int64_t>(batch.rows);
  const WeightMetrics metrics = weight_totals(Alone{}, rule, parts.data(), rows);
  if (metrics.normalizer == 1) return metrics;
  const auto normalized = [&](float weight) { return static_cast<float>(weight / metrics.normalizer); };
  each_row(batch, [&](std::int64_t row) {
    for (std::int64_t t = batch.cu_seqlens[row]; t < batch.cu_seqlens[row + 1]; ++t) {
      weights[t] = normalized(weights[t]);
    }
    if (of_sequences) sequences[row] = normalized(sequences[row]);
  });
  return metrics;
}

CriterionMetrics reject(const Criterion& criterion, const RejectionRule& rule,
                        const RolloutBatch<float>& batch, std::uint8_t* mask, std::uint8_t* keep) {
  const CriterionRule own{criterion, rule.log_ratio_limit, rule.count_epsilon};
  const StatisticBand band = statistic_band(criterion);
  std::vector<RejectionPart> parts(batch.rows);
  each_row(batch, [&](std::int64_t row) {
    RejectionPart& part = parts[static_cast<std::size_t>(row)];
    const bool spared = criterion.only_negative && batch.advantages[row] >= 0;
    std::uint8_t* own_mask = mask + batch.cu_seqlens[row];
    const RolloutRow tokens = row_of(batch, row);
    take_statistics(Alone{}, own, spared, kernels().judge(own, band, spared, tokens, own_mask), part);
    if (part.rejected == 0) return;
    keep[row] = 0;
    if (criterion.level != RejectionLevel::token) std::fill_n(own_mask, tokens.count, std::uint8_t{0});
  });
  return criterion_totals(Alone{}, criterion, rule.count_epsilon, parts.data(),
                          static_cast<std::int64_t>(batch.rows));
}

}  // namespace adjudge
