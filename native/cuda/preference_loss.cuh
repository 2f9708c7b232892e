// What the kernels of the preference losses share.
#pragma once

#include "cuda/rows.cuh"
#include "rules/preference.h"
#include "rules/preference_terms.h"

namespace adjudge::cuda {

using Whole = unsigned long long;

struct CompletionSums {
  double log_prob, reference, tokens, nll, nll_tokens;
};

// What the kernels share; all of it lies in device memory but for the rule.
struct PreferenceView {
  rl::PreferenceRule rule;
  rl::PreferenceBatch<float> batch;
  std::int64_t terms;    // pairs; kto: completions
  double each;           // what every term of a mean weighs
  CompletionSums* rows;  // null: log_probs are of completions
  double* chosen_slopes;
  double* rejected_slopes;
  double* matched_losses;      // [pairs], aot: by the pair of the chosen side; others: null
  Whole* slopes;               // [completions]; kto: null, chosen_slopes are theirs
  std::int32_t* times_chosen;  // [completions], null without a token loss
};

struct PreferenceSide {
  double log_prob, log_ratio, share, nll, nll_tokens;
};

SIMT_DEVICE double tokens_of(const PreferenceView& view, std::int64_t row) {
  if (view.rows) return view.rows[row].tokens;
  return view.batch.lengths ? view.batch.lengths[row] : 1;
}

SIMT_DEVICE PreferenceSide side_of(const PreferenceView& view, std::int64_t row) {
  const rl::PreferenceBatch<float>& batch = view.batch;
  PreferenceSide side;
  double reference = 0;
  if (view.rows) {
    const CompletionSums& sums = view.rows[row];
    side = {sums.log_prob, 0, 1, sums.nll, sums.nll_tokens};
    reference = sums.reference;
  } else {
    const double log_prob = batch.log_probs[row];
    side = {log_prob, 0, 1, log_prob, tokens_of(view, row)};
    if (batch.reference_log_probs) reference = batch.reference_log_probs[row];
  }
  const double share = 1 / fmax(tokens_of(view, row), 1.0);
  if (view.rule.length_normalization == rl::LengthNormalization::log_prob) {
    side.log_prob *= share;
    reference *= share;
  }
  if (view.rule.length_normalization == rl::LengthNormalization::score) side.share = share;
  side.log_ratio = side.log_prob - reference;
  return side;
}

SIMT_DEVICE rl::Score<double> score_of_side(const PreferenceView& view, const PreferenceSide& side) {
  const rl::Score<double> score = rl::score_of(view.rule, side.log_ratio);
  return {score.value * side.share, score.slope * side.share};
}

// aot: pairs whose two sides meet by rank. `count` numbers a side.
struct SortedPairs {
  double* left;
  double* right;
  std::uint64_t* keys;  // [2, padded]
  std::int32_t* order;  // [2, padded]
  std::int64_t padded;
};

SortedPairs take_sorted_pairs(Enqueue& enqueue, std::int64_t count);
// Writes matched_losses and both slopes of every pair.
void enqueue_sorted_pairs(Enqueue& enqueue, const PreferenceView& view, const SortedPairs& sorted);

}  // namespace adjudge::cuda
