#pragma once

#include "rules/double_lane.h"
#include "rules/kl.h"
#include "rules/scalar_lane.h"

// KL(policy || reference) at a token and its derivative (kl.h), for one token or a vector of them.
namespace adjudge::rl {

template <typename Number>
struct KlLanes {
  Number value;
  Number gradient;  // with respect to log_prob
};

// `Rule`: a KlRule, or a KlConstants, which has its numbers in f32.
template <typename Number, typename Rule>
ADJUDGE_DEVICE KlLanes<Number> kl_lanes(const Rule& rule, Number log_prob, Number reference,
                                        Number old_log_prob) {
  const Number zero(0.0f);
  const Number one(1.0f);
  const Number d = log_prob - reference;
  KlLanes<Number> result{d, one};
  if (rule.kind == KlKind::k2) result = {d * d * Number(0.5f), d};
  if (rule.kind == KlKind::absolute) {
    result = {absolute(d), select(less(zero, d), one, select(less(d, zero), -one, zero))};
  }
  if (rule.kind == KlKind::k3) {
    const Number low(rule.difference_low);
    const Number high(rule.difference_high);
    const Number inverse = minimum(maximum(-d, low), high);
    const auto inside = both(at_most(low, -d), at_most(-d, high));
    const Number growth = exponential_minus_one(inverse);
    result = {growth - inverse, select(inside, -growth, zero)};
  }
  const Number limit(rule.value_limit);
  const auto beyond = less(limit, absolute(result.value));
  result.value = select(beyond, select(less(result.value, zero), -limit, limit), result.value);
  result.gradient = select(beyond, zero, result.gradient);
  if (rule.gradient == KlGradient::unbiased) result.gradient = d;
  if (rule.gradient == KlGradient::unbiased_ratio) {
    result.gradient = d * minimum(exponential(log_prob - old_log_prob), Number(10.0f));
  }
  return result;
}

// In f64.
ADJUDGE_DEVICE KlLanes<double> kl_divergence(const KlRule& rule, double log_prob, double reference,
                                             double old_log_prob) {
  return kl_lanes<double>(rule, log_prob, reference, old_log_prob);
}

}  // namespace adjudge::rl
