#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "rules/aggregation.h"
#include "rules/kl.h"

// The rule, the batch and the metrics of a policy loss over packed ragged rows.
namespace adjudge::rl {

// sequence: exp of the mean log ratio of the row (GSPO); sequence_sum: exp of the sum.
enum class Ratio { token, sequence, sequence_sum };

// A sequence ratio is differentiated as it is, or each token through its own log-prob only (verl's GSPO).
enum class RatioGradient { joint, own_token };

// Minus A x log-prob, plain or times a weight that is a constant for the gradient (cispo, vespo, dppo); PPO's
// clip; its smooth (sapo), quadratic (dro), geometric (gmpo) and covariance forms. Formulas:
// reference/loss_*.h.
enum class LossKind {
  policy_gradient,
  clip,
  cispo,
  sapo,
  vespo,
  gmpo,
  dppo_tv,
  dppo_kl,
  dro,
  clip_cov,
  kl_cov,
};

// vespo: phi(w) = e^rate w^shape e^(-rate w) of a row's ratio w, one pair for A >= 0 and one for A < 0.
struct GammaWeight {
  double shape_positive = 2;
  double rate_positive = 3;
  double shape_negative = 3;
  double rate_negative = 2;
  bool masked_importance = false;  // importance weights of tokens that do not count are in w too (TRL)
};

// clip_cov, kl_cov: which tokens of a batch are singled out by (A - mean A)(log_prob - mean log_prob).
struct CovarianceRule {
  double share = 2e-4;  // of the counted tokens, but at least one
  double low = 1;       // clip_cov: candidates lie between low and high
  double high = 5;
  double kl_coefficient = 1;  // kl_cov: times |log ratio| of the tokens singled out
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
  double keep_ratio_low = 0;  // a token whose ratio is outside does not count at all
  double keep_ratio_high = std::numeric_limits<double>::infinity();
  double off_policy_threshold =
      std::numeric_limits<double>::infinity();  // A < 0: largest mean of rollout - policy log-prob of a row
  double temperature_positive = 1;              // sapo, A > 0
  double temperature_negative = 1.05;
  GammaWeight gamma_weight;
  double quadratic_coefficient = 1;  // dro
  CovarianceRule covariance;
  double top_entropy_quantile = 1;  // share of tokens of highest entropy in the policy term and the bonus
  KlRule kl;
  double entropy_coefficient = 0;
  bool entropy_token_mean = false;  // the bonus is a mean over tokens whatever the loss's aggregation (TRL)
  AggregationRule aggregation;
};

template <typename Float>
struct LossBatch {
  const Float* log_probs = nullptr;
  const Float* old_log_probs = nullptr;
  const Float* reference_log_probs = nullptr;  // null: no KL
  const Float* entropies = nullptr;            // null: no entropy
  const Float* importance_weights = nullptr;   // null: 1; multiply the policy term
  const Float* rollout_log_probs = nullptr;    // null: the old ones; NaN: not known
  const Float* advantages = nullptr;           // [rows], or [tokens] if advantages_per_token
  bool advantages_per_token = false;
  const std::uint8_t* mask = nullptr;  // null: all tokens count
  const std::int32_t* cu_seqlens = nullptr;
  std::size_t rows = 0;
  const std::int32_t* candidate_order = nullptr;  // clip_cov: a permutation of the candidates; null: drawn
  std::size_t candidate_count = 0;                // its length
  double batch_tokens = -1;     // counted tokens of the whole optimizer batch; -1 = of this batch
  double batch_sequences = -1;  // rows of the whole optimizer batch; -1 = of this batch
};

// Means over this batch's counted tokens (clip shares of a sequence ratio: over its rows).
struct LossMetrics {
  double tokens = 0;
  double sequences = 0;
  double clip_low = 0;       // ratio below 1 - clip_low with A < 0
  double clip_high = 0;      // ratio above 1 + clip_high with A > 0
  double clip_dual = 0;      // stopped by the dual clip; dppo: weight held at ratio_cap
  double clip_low_min = 0;   // smallest share of a row
  double clip_high_max = 0;  // largest share of a row
  double clip_token = 0;     // clipped low or high: over tokens whatever the ratio
  double clip_bound = 0;     // over tokens: ratio outside its bounds, whatever the sign of A
  double selected = 0;       // over tokens: singled out by covariance
  double phi = 0;            // vespo: mean of the rows' weights
  double policy_loss = 0;    // without the entropy bonus
  double kl = 0;
  double entropy = 0;
  double ratio_mean = 0;
  double ratio_max = 0;
  double old_kl = 0;           // mean of old_log_prob - log_prob
  double old_kl_bounded = 0;   // the same within the rule's bounds of a token's log ratio
  double old_kl_absolute = 0;  // mean of its magnitude
};

struct LossValue {
  double loss = 0;
  LossMetrics metrics;
};

}  // namespace adjudge::rl
