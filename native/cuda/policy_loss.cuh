// What the kernels of the policy loss share: the rule as the host prepared it, and what is known of a row
// before its sweep.
#pragma once

#include "cuda/rows.cuh"
#include "rules/loss_constants.h"
#include "rules/vespo_terms.h"

namespace adjudge::cuda {

// Passed to kernels by value. The batch's mask is that of the tokens that count for this rule.
struct LossPlan {
  rl::LossConstants constants;
  rl::LossBatch<float> batch;
  rl::AggregationRule aggregation;
  rl::GammaWeight gamma_weight;
  double log_ratio_low;
  double log_ratio_high;
  double off_policy_threshold;
  double entropy_coefficient;
  RowRange range;
  const std::uint8_t* teaches;   // [tokens], null: all counted tokens
  const std::uint8_t* selected;  // [tokens], null: none
  bool by_token;                 // each token has its own ratio
  bool mean_ratio;               // a row's ratio is that of the mean, not of the sum
  bool joint;                    // the row's ratio is differentiated as a whole
  bool drift;                    // rows that drifted are looked for
  bool bonus_by_token;           // the entropy bonus is a mean over tokens
};

// Numbers of a row that its tokens need.
struct LossRow {
  double counted;
  double slope;       // d ratio / d (sum of the row's log-probs), joint gradient
  double mean_slope;  // gmpo: derivative of the row's loss for each token that is not held
  float ratio;
  float own_slope;  // d ratio / d own log-prob
  float phi_positive;
  float phi_negative;
  float mean;  // gmpo: geometric mean
  bool drifted;
};

struct LossTotals {
  rl::Counts own;       // of this batch
  rl::Counts whole;     // of the optimizer batch
  double bonus_weight;  // of a token, where the bonus is a mean over tokens
};

SIMT_DEVICE bool counts(const LossPlan& plan, std::int64_t token) {
  return !plan.batch.mask || plan.batch.mask[token] != 0;
}

SIMT_DEVICE float advantage_of(const LossPlan& plan, std::int64_t row, std::int64_t token) {
  return plan.batch.advantages[plan.batch.advantages_per_token ? token : row];
}

SIMT_DEVICE double log_ratio_of(const LossPlan& plan, std::int64_t token) {
  return static_cast<double>(plan.batch.log_probs[token]) - plan.batch.old_log_probs[token];
}

// phi of a row of this log weight, for one sign of the advantage.
SIMT_DEVICE float phi_of(double shape, double rate, double log_weight) {
  return static_cast<float>(rl::vespo_phi(shape, rate, log_weight));
}

// rows: [rows], totals: [1]. taught: the number of tokens of `teaches`, or null.
void enqueue_loss_rows(Enqueue& enqueue, const LossPlan& plan, LossRow* rows);
void enqueue_loss_totals(Enqueue& enqueue, const LossPlan& plan, const LossRow* rows,
                         const std::int32_t* taught, LossTotals* totals);

}  // namespace adjudge::cuda
