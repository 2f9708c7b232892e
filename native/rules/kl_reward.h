#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "rules/kl.h"

// KL taken off the reward token by token: its rule, its batch, and what comes of them.
namespace adjudge::rl {

struct KlRewardRule {
  KlRule kl;                                                   // its coefficient is used, its gradient is not
  double clip_low = -std::numeric_limits<double>::infinity();  // of the completions' rewards
  double clip_high = std::numeric_limits<double>::infinity();
};

template <typename Float>
struct KlRewardBatch {
  const Float* rewards = nullptr;        // [rows], each put on its row's last counted token; null: none
  const Float* token_rewards = nullptr;  // [tokens]; null: none
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

}  // namespace adjudge::rl
