#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "rl/kl.h"

// Policy loss over a packed ragged batch, with its derivative for every token's log-prob.
namespace adjudge::rl {

// sequence: exp of the mean log ratio of the row (GSPO); sequence_sum: exp of the sum.
enum class Ratio { token, sequence, sequence_sum };

// A sequence ratio is differentiated as it is, or each token through its own log-prob only (verl's GSPO).
enum class RatioGradient { joint, own_token };

enum class LossKind { policy_gradient, clip };

enum class Aggregation {
  token_mean,
  token_sum,
  sequence_mean_token_mean,
  sequence_mean_token_sum,
  constant,
  sequence_mean,  // one term per row: for sequence ratios
};

struct LossRule {
  LossKind kind = LossKind::clip;
  Ratio ratio = Ratio::token;
  RatioGradient ratio_gradient = RatioGradient::joint;
  double clip_low = 0.2;
  double clip_high = 0.2;
  double dual_clip = std::numeric_limits<double>::infinity();  // A < 0: loss at most dual_clip x |A|
  double ratio_cap =
      std::numeric_limits<double>::infinity();  // upper bound of the unclipped ratio, both signs
  double log_ratio_low = -std::numeric_limits<double>::infinity();
  double log_ratio_high = std::numeric_limits<double>::infinity();
  KlRule kl;
  double entropy_coefficient = 0;
  bool entropy_token_mean = false;  // the bonus is a mean over tokens whatever the loss's aggregation (TRL)
  Aggregation aggregation = Aggregation::token_mean;
  double constant = 1;
  double token_epsilon = 0;       // added to a row's token count
  bool count_empty_rows = false;  // rows without a counted token enter the number of sequences
};

template <typename Float>
struct LossBatch {
  const Float* log_probs = nullptr;
  const Float* old_log_probs = nullptr;
  const Float* reference_log_probs = nullptr;  // null: no KL
  const Float* entropies = nullptr;            // null: no entropy
  const Float* importance_weights = nullptr;   // null: 1; multiply the policy term
  const Float* advantages = nullptr;           // [rows], or [tokens] if advantages_per_token
  bool advantages_per_token = false;
  const std::uint8_t* mask = nullptr;  // null: all tokens count
  const std::int32_t* cu_seqlens = nullptr;
  std::size_t rows = 0;
  double batch_tokens = -1;     // counted tokens of the whole optimizer batch; -1 = of this batch
  double batch_sequences = -1;  // rows of the whole optimizer batch; -1 = of this batch
};

// Means over this batch's counted tokens (clip shares of a sequence ratio: over its rows).
struct LossMetrics {
  double tokens = 0;
  double sequences = 0;
  double clip_low = 0;   // ratio below 1 - clip_low with A < 0
  double clip_high = 0;  // ratio above 1 + clip_high with A > 0
  double clip_dual = 0;
  double kl = 0;
  double entropy = 0;
  double ratio_mean = 0;
  double ratio_max = 0;
  double old_kl = 0;  // mean of old_log_prob - log_prob
};

struct LossValue {
  double loss = 0;
  LossMetrics metrics;
};

// log_prob_gradients: [tokens], written everywhere; entropy_gradients: [tokens] or null.
template <typename Float>
LossValue policy_loss(const LossRule& rule, const LossBatch<Float>& batch, Float* log_prob_gradients,
                      Float* entropy_gradients);

}  // namespace adjudge::rl
