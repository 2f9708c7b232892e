#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "rules/aggregation.h"
#include "reference/loss_geometric.h"
#include "reference/loss_weighted.h"
#include "rules/policy_loss.h"

// What a loss needs to know of a whole row, and plain readings of a batch's tokens.
namespace adjudge::reference {

using namespace rl;

struct RowRatio {
  double value;
  double slope;  // d ratio / d (sum of the row's log-probs), joint gradient
  bool inside;   // log ratio within its bounds
};

// A row's geometric mean of held token ratios, times that of its importance weights (verl adds the constant).
struct RowGeometric {
  double value;
  double divisor;  // tokens of the mean
};
inline constexpr double importance_floor = 1e-10;

// A log ratio is held here at the latest: an infinite ratio times an advantage of 0 would be NaN.
inline constexpr double overflow_limit = 200;

template <typename Float>
class LossRows {
 public:
  // high_entropy: of high_entropy_tokens. All three outlive this.
  LossRows(const LossRule& rule, const LossBatch<Float>& batch, const std::vector<std::uint8_t>& high_entropy)
      : rule_(rule), batch_(batch), high_entropy_(high_entropy) {}

  bool counted(std::int32_t t) const { return !batch_.mask || batch_.mask[t]; }

  // Tokens of the policy term and the entropy bonus; the others still count in every divisor.
  bool teaches(std::int32_t t) const { return high_entropy_.empty() || high_entropy_[t]; }

  double tokens(std::size_t i) const {
    double n = 0;
    for (std::int32_t t = batch_.cu_seqlens[i]; t < batch_.cu_seqlens[i + 1]; ++t) n += counted(t) ? 1 : 0;
    return n;
  }

  double bounded(double log_ratio) const {
    return std::min(std::max(log_ratio, rule_.log_ratio_low), std::min(rule_.log_ratio_high, overflow_limit));
  }

  double difference(std::int32_t t) const {
    return static_cast<double>(batch_.log_probs[t]) - batch_.old_log_probs[t];
  }

  double advantage(std::size_t i, std::int32_t t) const {
    return batch_.advantages[batch_.advantages_per_token ? static_cast<std::size_t>(t) : i];
  }

  double importance(std::int32_t t) const {
    return batch_.importance_weights ? batch_.importance_weights[t] : 1.0;
  }

  RowRatio ratio(std::size_t i, double n) const {
    double sum = 0;
    for (std::int32_t t = batch_.cu_seqlens[i]; t < batch_.cu_seqlens[i + 1]; ++t) {
      if (counted(t)) sum += difference(t);
    }
    const double log_ratio = rule_.ratio == Ratio::sequence ? sum * inverse(n) : sum;
    const double value = std::exp(bounded(log_ratio));
    const bool inside = log_ratio >= rule_.log_ratio_low && log_ratio <= rule_.log_ratio_high;
    const double slope = rule_.ratio == Ratio::sequence ? value * inverse(n) : value;
    return {value, inside ? slope : 0, inside};
  }

  // vespo: log of the product of a row's ratios and importance weights.
  double log_weight(std::size_t i) const {
    double sum = 0;
    for (std::int32_t t = batch_.cu_seqlens[i]; t < batch_.cu_seqlens[i + 1]; ++t) {
      if (batch_.importance_weights && (counted(t) || rule_.gamma_weight.masked_importance)) {
        sum += vespo_bounded(std::log(importance(t)));
      }
      if (counted(t)) sum += std::min(std::max(difference(t), -vespo_log_limit), vespo_log_limit);
    }
    return vespo_bounded(sum);
  }

  RowGeometric geometric(std::size_t i, double n) const {
    double sum = 0;
    double weights = 0;
    double taught = 0;
    for (std::int32_t t = batch_.cu_seqlens[i]; t < batch_.cu_seqlens[i + 1]; ++t) {
      if (!counted(t)) continue;
      if (batch_.importance_weights) weights += std::log(importance(t) + importance_floor);
      if (!teaches(t)) continue;
      sum += held(i, t).value;
      ++taught;
    }
    const double divisor = taught > 0 ? taught + rule_.aggregation.token_epsilon : 1;
    const double mean = sum / divisor + (n > 0 ? weights / (n + rule_.aggregation.token_epsilon) : 0);
    return {std::exp(std::min(mean, overflow_limit)), divisor};
  }

  HeldLogRatio held(std::size_t i, std::int32_t t) const {
    return held_log_ratio(difference(t), advantage(i, t), rule_.clip_low, rule_.clip_high);
  }

  // A row that drifted from the policy that wrote it, per token of mean log-prob: its tokens with A < 0 are
  // left out of the policy term (off-policy sequence masking, DeepSeek-V3.2).
  bool drifted(std::size_t i, double n) const {
    if (std::isinf(rule_.off_policy_threshold)) return false;
    const Float* rollout = batch_.rollout_log_probs ? batch_.rollout_log_probs : batch_.old_log_probs;
    double sum = 0;
    for (std::int32_t t = batch_.cu_seqlens[i]; t < batch_.cu_seqlens[i + 1]; ++t) {
      if (!counted(t) || std::isnan(rollout[t])) continue;
      sum += static_cast<double>(rollout[t]) - batch_.log_probs[t];
    }
    return sum * inverse(n) > rule_.off_policy_threshold;
  }

 private:
  const LossRule& rule_;
  const LossBatch<Float>& batch_;
  const std::vector<std::uint8_t>& high_entropy_;
};

}  // namespace adjudge::reference
