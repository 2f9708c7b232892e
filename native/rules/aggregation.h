#pragma once

#include "rules/device.h"

// How token losses become one number.
namespace adjudge::rl {

enum class Aggregation {
  token_mean,
  token_sum,
  sequence_mean_token_mean,
  sequence_mean_token_sum,
  constant,
  sequence_mean,  // one term per row: for sequence ratios
};

struct AggregationRule {
  Aggregation kind = Aggregation::token_mean;
  double constant = 1;
  double token_epsilon = 0;       // added to a row's token count
  bool count_empty_rows = false;  // rows without a counted token enter the number of sequences
};

ADJUDGE_DEVICE double inverse(double x) { return x > 0 ? 1 / x : 0; }

// Of the whole optimizer batch.
struct Counts {
  double tokens = 0;
  double sequences = 0;
};

// What a counted token of a row weighs in the loss.
ADJUDGE_DEVICE double row_weight(const AggregationRule& rule, const Counts& counts, double row_tokens) {
  switch (rule.kind) {
    case Aggregation::token_mean:
      return inverse(counts.tokens);
    case Aggregation::token_sum:
      return 1;
    case Aggregation::sequence_mean_token_mean:
      return row_tokens > 0 ? inverse(counts.sequences) / (row_tokens + rule.token_epsilon) : 0;
    case Aggregation::sequence_mean_token_sum:
      return inverse(counts.sequences);
    case Aggregation::constant:
      return inverse(counts.sequences) / rule.constant;
    case Aggregation::sequence_mean:
      return inverse(counts.sequences) * inverse(row_tokens);
  }
  return 0;
}

}  // namespace adjudge::rl
