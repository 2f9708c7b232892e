#pragma once

#include "rules/mismatch_terms.h"

// What one token adds to its row's weights and statistics: the same code for one token (double; a thread of
// the processor or of a GPU) and for a vector of them. `counts` is false where the mask is 0: such a token
// adds nothing, whatever its log-probs hold.
namespace adjudge::rl {

// A mask that is true throughout, where there is none.
struct Every {};

template <typename Mask>
ADJUDGE_DEVICE Mask both(Every, const Mask& mask) {
  return mask;
}
template <typename Number>
ADJUDGE_DEVICE Number select(Every, const Number& yes, const Number&) {
  return yes;
}
template <typename Number>
ADJUDGE_DEVICE Number only(Every, const Number& value) {
  return value;
}
ADJUDGE_DEVICE double only(bool mask, double value) { return mask ? value : 0; }

template <typename Number, typename Mask>
ADJUDGE_DEVICE Number one_lanes(const Mask& counts) {
  return only(counts, number_of<Number>(1));
}

// Whether the row has to be read as a whole before its tokens are weighed.
ADJUDGE_DEVICE bool needs_ratios(const WeightRule& rule) {
  return rule.level == WeightLevel::sequence || gate_of_row(rule);
}

template <typename Number>
struct RatioLanes {
  Number counted = number_of<Number>(0);
  Number log_sum = number_of<Number>(0);
  Number divergence = number_of<Number>(0);  // of a gate that is the row's mean of one
};

template <typename Number, typename Mask>
ADJUDGE_DEVICE void add_ratio(const WeightRule& rule, const Mask& counts, const Number& log_prob,
                              const Number& rollout, RatioLanes<Number>& sums) {
  sums.counted = sums.counted + one_lanes<Number>(counts);
  sums.log_sum = sums.log_sum + only(counts, log_ratio_lanes(log_prob, rollout));
  if (rule.gate == WeightGate::binary_kl_mean || rule.gate == WeightGate::total_variation_mean) {
    sums.divergence = sums.divergence + only(counts, gate_lanes(rule.gate, log_prob, rollout));
  }
}

// What the tokens of a row have in common; only what the flags say is read.
struct RowWeight {
  bool sequence;     // the weight is the row's
  bool judged;       // the band judges the row
  double raw;        // the row's weight before the band
  double statistic;  // what the band judges
};

ADJUDGE_DEVICE RowWeight row_weight_of(const WeightRule& rule, double log_sum, double statistic) {
  return {rule.level == WeightLevel::sequence, gate_of_row(rule),
          growth_lanes(within_lanes(log_sum, rule.log_ratio_limit)), statistic};
}

template <typename Number>
struct WeightLanes {
  Number counted = number_of<Number>(0);
  Number high = number_of<Number>(0);
  Number low = number_of<Number>(0);
  Number outside = number_of<Number>(0);
  Number applied = number_of<Number>(0);
  Number raw = number_of<Number>(0);
  Number cut = number_of<Number>(0);
  Number cut_squares = number_of<Number>(0);
  Number minimum = number_of<Number>(HUGE_VAL);
  Number maximum = number_of<Number>(-HUGE_VAL);
};

// Returns the weight, 0 where the token does not count.
template <typename Number, typename Mask>
ADJUDGE_DEVICE Number weigh_lanes(const WeightRule& rule, const RowWeight& row, const Mask& counts,
                                  const Number& log_prob, const Number& rollout, WeightLanes<Number>& sums) {
  Number own = number_of<Number>(row.raw), statistic = number_of<Number>(row.statistic);
  if (!row.sequence) {
    own = growth_lanes(within_lanes(log_ratio_lanes(log_prob, rollout), rule.log_ratio_limit));
  }
  if (!row.judged) {
    statistic = rule.gate == WeightGate::weight ? own : gate_lanes(rule.gate, log_prob, rollout);
  }
  const Number high = number_of<Number>(rule.high);
  const Number weight = only(counts, banded_lanes(rule, own, statistic));
  const Number cut = minimum(maximum(weight, number_of<Number>(0)), high);
  sums.counted = sums.counted + one_lanes<Number>(counts);
  sums.high = sums.high + one_lanes<Number>(both(counts, less(high, statistic)));
  sums.low = sums.low + one_lanes<Number>(both(counts, less(statistic, number_of<Number>(low_mark(rule)))));
  sums.outside =
      sums.outside + one_lanes<Number>(both(counts, outside_lanes(statistic, rule.low, rule.high)));
  sums.applied = sums.applied + weight;
  sums.raw = sums.raw + only(counts, own);
  sums.cut = sums.cut + only(counts, cut);
  sums.cut_squares = sums.cut_squares + only(counts, cut * cut);
  sums.minimum = minimum(sums.minimum, select(counts, weight, number_of<Number>(HUGE_VAL)));
  sums.maximum = maximum(sums.maximum, select(counts, weight, number_of<Number>(-HUGE_VAL)));
  return weight;
}

// One criterion with what all criteria of a rule share.
struct CriterionRule {
  Criterion criterion;
  double log_ratio_limit;
  double count_epsilon;
};

template <typename Number>
struct RejectionLanes {
  Number counted = number_of<Number>(0);
  Number sum = number_of<Number>(0);
  Number minimum = number_of<Number>(HUGE_VAL);
  Number maximum = number_of<Number>(-HUGE_VAL);
  // Of tokens that are judged by themselves.
  Number above = number_of<Number>(0);
  Number below = number_of<Number>(0);
  Number cut = number_of<Number>(0);
  Number cut_squares = number_of<Number>(0);
  Number masked = number_of<Number>(0);
};

// Returns which tokens are rejected by themselves. `spared`: the criterion does not apply to the row.
template <typename Number, typename Mask>
ADJUDGE_DEVICE auto judge_lanes(const CriterionRule& rule, const StatisticBand& band, bool spared,
                                const Mask& counts, const Number& log_prob, const Number& rollout,
                                RejectionLanes<Number>& sums) {
  const Criterion& criterion = rule.criterion;
  const Number bounded = within_lanes(log_ratio_lanes(log_prob, rollout), rule.log_ratio_limit);
  const Number statistic = statistic_lanes(criterion.statistic, bounded, log_prob, rollout);
  sums.counted = sums.counted + one_lanes<Number>(counts);
  sums.sum = sums.sum + only(counts, statistic);
  sums.minimum = minimum(sums.minimum, select(counts, statistic, number_of<Number>(HUGE_VAL)));
  sums.maximum = maximum(sums.maximum, select(counts, statistic, number_of<Number>(-HUGE_VAL)));
  const auto none = less(bounded, bounded);
  if (criterion.level != RejectionLevel::token) return none;
  const Number low = number_of<Number>(band.low), high = number_of<Number>(band.high);
  const Number cut = minimum(maximum(statistic, low), high);
  sums.above = sums.above + one_lanes<Number>(both(counts, less(high, statistic)));
  sums.below = sums.below + one_lanes<Number>(both(counts, less(statistic, low)));
  sums.cut = sums.cut + only(counts, cut);
  sums.cut_squares = sums.cut_squares + only(counts, cut * cut);
  if (spared) return none;
  const auto rejected = both(counts, outside_lanes(statistic, band.low, band.high));
  sums.masked = sums.masked + one_lanes<Number>(rejected);
  return rejected;
}

}  // namespace adjudge::rl
