// A warp a row, or a block for a long one. Reads 8 bytes a token, 12 with importance weights, and the mask,
// writes 4 a row; up to about 60 f64 operations a token for the logarithm of an importance weight.
#include <cmath>

#include "cuda/launch.h"
#include "cuda/rows.cuh"
#include "cuda/table.h"
#include "rules/off_policy.h"
#include "rules/policy_loss.h"
#include "rules/vespo_terms.h"

namespace adjudge::cuda {
namespace {

using namespace rl;

SIMT_KERNEL gamma_weights_kernel(GammaWeight rule, GammaBatch<float> batch, RowRange range, float* weights) {
  for_rows_of_block(range, [&](auto team, std::int64_t row) {
    double sum = 0;
    for (std::int64_t t = range.cu_seqlens[row] + team.rank(); t < range.cu_seqlens[row + 1];
         t += team.size()) {
      const bool counted = !batch.mask || batch.mask[t];
      if (counted)
        sum += vespo_bounded_ratio(static_cast<double>(batch.log_probs[t]) - batch.old_log_probs[t]);
      if (batch.importance_weights && (counted || rule.masked_importance))
        sum += vespo_bounded(log(static_cast<double>(batch.importance_weights[t])));
    }
    const double log_weight = vespo_bounded(team.sum(sum));
    if (team.rank() != 0) return;
    const bool positive = batch.advantages[row] >= 0;
    weights[row] =
        static_cast<float>(vespo_phi(positive ? rule.shape_positive : rule.shape_negative,
                                     positive ? rule.rate_positive : rule.rate_negative, log_weight));
  });
}

int gamma_weights(const GammaWeight& rule, const GammaBatch<float>& batch, std::int64_t, float* weights,
                  Launch& launch) {
  const auto rows = static_cast<std::int64_t>(batch.rows);
  Enqueue enqueue(launch, 256);
  if (enqueue.stops()) return enqueue.status();
  const RowRange range = row_range(batch.cu_seqlens, rows, enqueue.threads());
  if (rows > 0) enqueue(ADJUDGE_NAMED(gamma_weights_kernel), blocks_of(range), rule, batch, range, weights);
  return enqueue.status();
}

}  // namespace

void add_gamma_weights(Kernels& table) { table.gamma_weights = gamma_weights; }

}  // namespace adjudge::cuda
