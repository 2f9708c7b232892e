#include "reference/kl_rows.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "reference/logits.h"

namespace adjudge::reference {

using rl::KlDirection;
using rl::KlRowsBatch;

// reverse: sum of p (log p - log q), derivative p_k (log p_k - log q_k - KL);
// forward: sum of q (log q - log p), derivative p_k - q_k.
template <typename Float>
void kl_rows(KlDirection direction, const KlRowsBatch<Float>& batch, Float* values, Float* gradients) {
  const bool reverse = direction == KlDirection::reverse;
  for (std::size_t i = 0; i < batch.rows; ++i) {
    Float* gradient = gradients ? gradients + i * batch.width : nullptr;
    if (batch.mask && !batch.mask[i]) {
      values[i] = 0;
      if (gradient) std::fill(gradient, gradient + batch.width, Float{0});
      continue;
    }
    const Float* logits = batch.logits + i * batch.width;
    const Float* reference = batch.reference_logits + i * batch.width;
    const double policy_sum = log_sum_exp(logits, batch.width);
    const double reference_sum = log_sum_exp(reference, batch.width);
    const bool distributions = std::isfinite(policy_sum) && std::isfinite(reference_sum);
    double value = distributions ? 0 : std::numeric_limits<double>::quiet_NaN();
    for (std::size_t k = 0; k < batch.width; ++k) {
      const double log_p = logits[k] - policy_sum;
      const double log_q = reference[k] - reference_sum;
      const double weight = std::exp(reverse ? log_p : log_q);
      if (weight > 0) value += weight * (reverse ? log_p - log_q : log_q - log_p);
    }
    values[i] = static_cast<Float>(value);
    if (!gradient) continue;
    for (std::size_t k = 0; k < batch.width; ++k) {
      const double log_p = logits[k] - policy_sum;
      const double log_q = reference[k] - reference_sum;
      const double p = std::exp(log_p);
      const double slope = reverse ? (p > 0 ? p * (log_p - log_q - value) : 0) : p - std::exp(log_q);
      gradient[k] = static_cast<Float>(slope);
    }
  }
}

template void kl_rows(KlDirection, const KlRowsBatch<float>&, float*, float*);
template void kl_rows(KlDirection, const KlRowsBatch<double>&, double*, double*);

}  // namespace adjudge::reference
