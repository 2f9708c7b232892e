#include "reference/loss_weighted.h"
#include "reference/mismatch.h"
#include "reference/off_policy.h"

namespace adjudge::reference {

template <typename Float>
void gamma_weights(const GammaWeight& rule, const GammaBatch<Float>& batch, Float* weights) {
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
    weights[i] = static_cast<Float>(vespo_weight(rule, vespo_bounded(log_weight), batch.advantages[i]));
  }
}

template void gamma_weights(const GammaWeight&, const GammaBatch<float>&, float*);
template void gamma_weights(const GammaWeight&, const GammaBatch<double>&, double*);

}  // namespace adjudge::reference
