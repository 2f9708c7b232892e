#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "rules/kl.h"

// KL taken off the reward token by token, and the coefficient that adapts to it.
namespace adjudge::rl {

struct KlRewardRule {
  KlRule kl;                                                   // its coefficient is used, its gradient is not
  double clip_low = -std::numeric_limits<double>::infinity();  // of the completions' rewards
  double clip_high = std::numeric_limits<double>::infinity();
};

template <typename Float>
struct KlRewardBatch {
  const Float* rewards = nullptr;        // [rows], each put on its row's last counted token; null: none
  const Float* token_rewards = nullptr;  // [tokens]
  const Float* kl = nullptr;             // [tokens], known already; null: estimated from the log-probs
  const Float* log_probs = nullptr;
  const Float* reference_log_probs = nullptr;
  const std::uint8_t* mask = nullptr;  // null: all tokens count
  const std::int32_t* cu_seqlens = nullptr;
  std::size_t rows = 0;
};

struct KlRewardMetrics {
  double kl = 0;        // mean over rows of the row's mean per counted token; a row without one counts as 0
  double kl_token = 0;  // mean over counted tokens
};

// results: [tokens], 0 where the mask is 0.
template <typename Float>
KlRewardMetrics kl_reward(const KlRewardRule& rule, const KlRewardBatch<Float>& batch, Float* results);

// coefficient x (1 + error x steps / horizon), error = observed / target - 1 within +- limit (Ziegler et al.
// 2019, arXiv 1909.08593, section 2.2; limit 0.2 there).
struct AdaptiveKlRule {
  double target = 0.1;
  double horizon = 10000;
  double limit = 0.2;
};

double adapted_coefficient(const AdaptiveKlRule& rule, double coefficient, double observed, double steps);

}  // namespace adjudge::rl
