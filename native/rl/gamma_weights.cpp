#include "reference/loss_weighted.h"
#include "rl/mismatch.h"
#include "rl/off_policy.h"

namespace adjudge::rl {

using reference::vespo_bounded;
using reference::vespo_log_limit;
using reference::vespo_weight;

template <typename Float>
std::vector<double> gamma_weights(const GammaWeight& rule, const GammaBatch<Float>& batch) {
  std::vector<double> weights;
  weights.reserve(batch.rows);
  for (std::size_t i = 0; i < batch.rows; ++i) {
    double log_weight = 0;
    for (std::int32_t t = batch.cu_seqlens[i]; t < batch.cu_seqlens[i + 1]; ++t) {
      const bool counted = !batch.mask || batch.mask[t];
      if (counted) {
        log_weight +=
            within(static_cast<double>(batch.log_probs[t]) - batch.old_log_probs[t], vespo_log_limit);
      }
      if (batch.importance_weights && (counted || rule.masked_importance)) {
        log_weight += vespo_bounded(std::log(static_cast<double>(batch.importance_weights[t])));
      }
    }
    weights.push_back(vespo_weight(rule, vespo_bounded(log_weight), batch.advantages[i]));
  }
  return weights;
}

template std::vector<double> gamma_weights(const GammaWeight&, const GammaBatch<float>&);
template std::vector<double> gamma_weights(const GammaWeight&, const GammaBatch<double>&);

}  // namespace adjudge::rl
