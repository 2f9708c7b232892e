#include "native/cpu/off_policy.h"

#include <algorithm>
#include <vector>

#include "native/core/thread_pool.h"
#include "native/rules/off_policy_rows.h"

namespace adjudge {
namespace {

using namespace rl;

// The rows of chunk k are those that start in its range of tokens. A row is one thread's, and sums over rows
// are in their order, so that results do not depend on the threads.
constexpr std::int64_t chunk_tokens = 16384;

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
    part = weigh_row(Alone{}, rule, batch, row, weights);
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
  std::vector<RejectionPart> parts(batch.rows);
  each_row(batch, [&](std::int64_t row) {
    RejectionPart& part = parts[static_cast<std::size_t>(row)];
    part = reject_row(Alone{}, own, batch, row, mask);
    if (part.rejected > 0) keep[row] = 0;
  });
  return criterion_totals(Alone{}, criterion, rule.count_epsilon, parts.data(),
                          static_cast<std::int64_t>(batch.rows));
}

}  // namespace adjudge
