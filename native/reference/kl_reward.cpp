#include "reference/kl_reward.h"

#include <algorithm>

#include "rules/kl_terms.h"

namespace adjudge::reference {

using namespace rl;

template <typename Float>
KlRewardMetrics kl_reward(const KlRewardRule& rule, const KlRewardBatch<Float>& batch, Float* results) {
  KlRewardMetrics metrics;
  double tokens = 0;
  for (std::size_t i = 0; i < batch.rows; ++i) {
    double count = 0;
    double sum = 0;
    std::int32_t last = -1;
    double last_value = 0;
    for (std::int32_t t = batch.cu_seqlens[i]; t < batch.cu_seqlens[i + 1]; ++t) {
      results[t] = 0;
      if (batch.mask && !batch.mask[t]) continue;
      double kl = 0;
      if (batch.kl) {
        kl = batch.kl[t];
      } else if (batch.log_probs) {
        const double log_prob = batch.log_probs[t];
        kl = kl_divergence(rule.kl, log_prob, batch.reference_log_probs[t], log_prob).value;
      }
      last_value = (batch.token_rewards ? batch.token_rewards[t] : 0.0) - rule.kl.coefficient * kl;
      results[t] = static_cast<Float>(last_value);
      sum += kl;
      count += 1;
      last = t;
    }
    if (last >= 0 && batch.rewards) {
      const double reward = std::clamp(static_cast<double>(batch.rewards[i]), rule.clip_low, rule.clip_high);
      results[last] = static_cast<Float>(last_value + reward);
    }
    if (count > 0) metrics.kl += sum / count;
    metrics.kl_token += sum;
    tokens += count;
  }
  if (batch.rows > 0) metrics.kl /= static_cast<double>(batch.rows);
  if (tokens > 0) metrics.kl_token /= tokens;
  return metrics;
}

template KlRewardMetrics kl_reward(const KlRewardRule&, const KlRewardBatch<float>&, float*);
template KlRewardMetrics kl_reward(const KlRewardRule&, const KlRewardBatch<double>&, double*);

}  // namespace adjudge::reference
