#pragma once

#include <type_traits>

#include "rules/double_lane.h"
#include "rules/off_policy.h"
#include "rules/scalar_lane.h"

// What the corrections of off_policy.h make of a token, without branches on the token: the same code for one
// token (double) and for a vector of them. Formulas: reference/mismatch.h, which this follows.
namespace adjudge::rl {

// A bound in the precision of the numbers that it bounds.
template <typename Number>
ADJUDGE_DEVICE Number number_of(double value) {
  if constexpr (std::is_same_v<Number, float>)
    return static_cast<float>(value);
  else
    return Number(value);
}

// log r; 0 where the rollout's log-prob is missing.
template <typename Number>
ADJUDGE_DEVICE Number log_ratio_lanes(Number log_prob, Number rollout) {
  return select(equal(rollout, rollout), log_prob - rollout, number_of<Number>(0));
}

template <typename Number>
ADJUDGE_DEVICE Number within_lanes(Number value, double limit) {
  return minimum(maximum(value, number_of<Number>(-limit)), number_of<Number>(limit));
}

// e^x; from e^88 on infinity, whatever the type: float ends there. Vectors of doubles take no x below -708.
template <typename Number>
ADJUDGE_DEVICE Number growth_lanes(Number x) {
  return select(less(number_of<Number>(88), x), number_of<Number>(HUGE_VAL),
                exponential(maximum(x, number_of<Number>(-708))));
}

// (token, any other token) as a coin, both kept off 0 and 1. The second is not 1 - the first, which has no
// digits left where that is close to 1.
template <typename Number>
struct CoinLanes {
  Number heads;
  Number tails;
};

template <typename Number>
ADJUDGE_DEVICE CoinLanes<Number> coin_lanes(Number log_prob) {
  const Number least = number_of<Number>(1e-6), most = number_of<Number>(1 - 1e-6);
  return {minimum(maximum(exponential(within_lanes(log_prob, 88)), least), most),
          minimum(maximum(-exponential_minus_one(log_prob), least), most)};
}

template <typename Number>
ADJUDGE_DEVICE Number coin_kl_lanes(const CoinLanes<Number>& p, const CoinLanes<Number>& q) {
  return p.heads * logarithm(p.heads / q.heads) + p.tails * logarithm(p.tails / q.tails);
}

// A weight's gate that is a divergence of the token.
template <typename Number>
ADJUDGE_DEVICE Number gate_lanes(WeightGate gate, Number log_prob, Number rollout) {
  const CoinLanes<Number> p = coin_lanes(rollout), q = coin_lanes(log_prob);
  const bool kl = gate == WeightGate::binary_kl || gate == WeightGate::binary_kl_mean;
  const Number value = kl ? coin_kl_lanes(p, q) : absolute(p.heads - q.heads);
  return select(equal(rollout, rollout), value, number_of<Number>(0));
}

// `bounded`: the log ratio within the rule's limit.
template <typename Number>
ADJUDGE_DEVICE Number statistic_lanes(RejectionStatistic statistic, Number bounded, Number log_prob,
                                      Number rollout) {
  if (statistic == RejectionStatistic::ratio) return bounded;
  if (statistic == RejectionStatistic::k1) return -bounded;
  if (statistic == RejectionStatistic::k2) return bounded * bounded * number_of<Number>(0.5);
  if (statistic == RejectionStatistic::k3) {
    return select(less(number_of<Number>(88), bounded), number_of<Number>(HUGE_VAL),
                  exponential_minus_one(bounded) - bounded);
  }
  const CoinLanes<Number> p = coin_lanes(rollout), q = coin_lanes(log_prob);
  const Number value = statistic == RejectionStatistic::total_variation
                           ? absolute(p.heads - q.heads)
                           : maximum(coin_kl_lanes(p, q), coin_kl_lanes(q, p));
  return select(equal(rollout, rollout), value, number_of<Number>(0));
}

// Whether a statistic lies in a band, its ends included.
template <typename Number>
ADJUDGE_DEVICE auto outside_lanes(Number statistic, double low, double high) {
  return either(less(statistic, number_of<Number>(low)), less(number_of<Number>(high), statistic));
}

// The weight after the band.
template <typename Number>
ADJUDGE_DEVICE Number banded_lanes(const WeightRule& rule, Number weight, Number statistic) {
  const Number low = number_of<Number>(rule.low), high = number_of<Number>(rule.high);
  if (rule.outside == OutsideBand::clip) return minimum(maximum(weight, low), high);
  return select(outside_lanes(statistic, rule.low, rule.high), number_of<Number>(0), weight);
}

// Whether the band judges rows, whose tokens then share a fate.
ADJUDGE_DEVICE bool gate_of_row(const WeightRule& rule) {
  if (rule.gate == WeightGate::weight) return rule.level == WeightLevel::sequence;
  return rule.gate != WeightGate::binary_kl && rule.gate != WeightGate::total_variation;
}

// Where no lower end is given, a weight counts as low below 1 / high.
ADJUDGE_DEVICE double low_mark(const WeightRule& rule) {
  return rule.gate == WeightGate::weight && rule.low == -HUGE_VAL ? 1 / rule.high : rule.low;
}

// Bounds of a criterion's statistic; those of a ratio are of its log.
struct StatisticBand {
  double low;
  double high;
};

ADJUDGE_DEVICE StatisticBand statistic_band(const Criterion& criterion) {
  if (criterion.statistic != RejectionStatistic::ratio) return {criterion.low, criterion.high};
  return {criterion.low > -HUGE_VAL ? log(criterion.low) : criterion.low, log(criterion.high)};
}

}  // namespace adjudge::rl
