// A warp a row, or a block for a long one, twice where the row decides: its log ratio and gate, then its
// weights. Reads 8 bytes a token (16 where the row decides) and the mask, writes 4; about 60 f64 operations a
// token for the exponential, in f64 so that a band decides as the reference does. Then one block over the
// rows, and once more over the weights where they are normalised.
#include <cmath>

#include "cuda/launch.h"
#include "cuda/rows.cuh"
#include "cuda/table.h"
#include "rules/off_policy_rows.h"

namespace adjudge::cuda {
namespace {

using namespace rl;

SIMT_KERNEL weight_row_kernel(WeightRule rule, RolloutBatch<float> batch, RowRange range, float* weights,
                              float* sequences, WeightPart* parts) {
  for_rows_of_block(range, [&](auto team, std::int64_t row) {
    const WeightPart part = weigh_row(team, rule, batch, row, weights);
    if (team.rank() != 0) return;
    parts[row] = part;
    if (rule.level == WeightLevel::sequence && sequences) sequences[row] = static_cast<float>(part.weight);
  });
}

SIMT_KERNEL weight_finish_kernel(WeightRule rule, const WeightPart* parts, std::int64_t rows,
                                 WeightMetrics* metrics) {
  const WeightMetrics totals = weight_totals(BlockTeam{}, rule, parts, rows);
  if (simt::thread() == 0) *metrics = totals;
}

SIMT_KERNEL weight_normalize_kernel(float* values, std::int64_t count, const WeightMetrics* metrics) {
  const std::int64_t i = simt::block() * simt::threads() + simt::thread();
  if (i < count) values[i] = static_cast<float>(values[i] / metrics->normalizer);
}

int importance_weights(const WeightRule& rule, const RolloutBatch<float>& batch, std::int64_t tokens,
                       float* weights, float* sequences, WeightMetrics* metrics, Launch& launch) {
  const auto rows = static_cast<std::int64_t>(batch.rows);
  Enqueue enqueue(launch, 256);
  auto* const parts = enqueue.take<WeightPart>(rows);
  if (enqueue.stops()) return enqueue.status();
  const RowRange range = row_range(batch.cu_seqlens, rows, enqueue.threads());
  if (rows > 0)
    enqueue(ADJUDGE_NAMED(weight_row_kernel), blocks_of(range), rule, batch, range, weights, sequences,
            parts);
  enqueue(ADJUDGE_NAMED(weight_finish_kernel), 1, rule, parts, rows, metrics);
  if (!rule.normalize) return enqueue.status();
  const auto normalize = [&](float* values, std::int64_t count) {
    if (values && count > 0)
      enqueue(ADJUDGE_NAMED(weight_normalize_kernel), blocks_of(count, enqueue.threads()), values, count,
              metrics);
  };
  normalize(weights, tokens);
  if (rule.level == WeightLevel::sequence) normalize(sequences, rows);
  return enqueue.status();
}

}  // namespace

void add_importance_weights(Kernels& table) { table.importance_weights = importance_weights; }

}  // namespace adjudge::cuda
