#pragma once

#include <math.h>

#include "rules/q_loss.h"
#include "rules/scalar_lane.h"

// The terms of the Q losses for one step, a vector of steps or a lane of a GPU; follow q_loss.h. And what one
// body after another does alike: the divisor of a batch, the last touch to its sums.
namespace adjudge::rl {

// The rule as the terms read it: f32.
struct QLossConstants {
  TdKind td;
  float td_coefficient;
  float huber_threshold;
  float conservative_coefficient;
  float conservative_temperature;
  float value_coefficient;
  float expectile;
  float policy_coefficient;
  float beta;
  float weight_limit;
};

ADJUDGE_DEVICE QLossConstants q_loss_constants(const QLossRule& rule) {
  return {rule.td,
          static_cast<float>(rule.td_coefficient),
          static_cast<float>(rule.huber_threshold),
          static_cast<float>(rule.conservative_coefficient),
          static_cast<float>(rule.conservative_temperature),
          static_cast<float>(rule.value_coefficient),
          static_cast<float>(rule.expectile),
          static_cast<float>(rule.policy_coefficient),
          static_cast<float>(rule.beta),
          static_cast<float>(rule.weight_limit)};
}

// Above it e^x is left to the body in f64, which says where a weight overflows.
inline constexpr float policy_exponent_limit = 88;

template <typename Number>
struct QTerm {
  Number value;
  Number slope;
};

template <typename Number>
ADJUDGE_DEVICE QTerm<Number> huber_lanes(Number threshold, Number difference) {
  const Number half(0.5f);
  const Number size = absolute(difference);
  const auto inside = at_most(size, threshold);
  const Number limited = select(less(difference, Number(0.0f)), -threshold, threshold);
  return {select(inside, difference * difference * half, threshold * (size - threshold * half)),
          select(inside, difference, limited)};
}

// difference: Q - target; the slope is with respect to Q.
template <typename Number>
ADJUDGE_DEVICE QTerm<Number> td_lanes(const QLossConstants& rule, Number difference) {
  if (rule.td == TdKind::squared) return {difference * difference, difference + difference};
  return huber_lanes(Number(rule.huber_threshold), difference);
}

// difference: target - quantile; the slope is with respect to the difference.
template <typename Number>
ADJUDGE_DEVICE QTerm<Number> quantile_lanes(const QLossConstants& rule, Number difference, Number fraction) {
  const Number zero(0.0f);
  const Number one(1.0f);
  const Number weight = select(less(difference, zero), one - fraction, fraction);
  if (rule.huber_threshold == 0) {
    const Number sign = select(less(zero, difference), one, select(less(difference, zero), -one, zero));
    return {weight * absolute(difference), weight * sign};
  }
  const QTerm<Number> term = huber_lanes(Number(rule.huber_threshold), difference);
  const Number scaled = weight / Number(rule.huber_threshold);
  return {scaled * term.value, scaled * term.slope};
}

// advantage: target Q - V; the slope is with respect to V.
template <typename Number>
ADJUDGE_DEVICE QTerm<Number> expectile_lanes(const QLossConstants& rule, Number advantage) {
  const Number side =
      select(less(advantage, Number(0.0f)), Number(1.0f - rule.expectile), Number(rule.expectile));
  const Number product = side * advantage;
  return {product * advantage, -(product + product)};
}

template <typename Number>
ADJUDGE_DEVICE Number policy_weight_lanes(const QLossConstants& rule, Number advantage) {
  return minimum(exponential(Number(rule.beta) * advantage), Number(rule.weight_limit));
}

// Whether a weight may be beyond f32.
template <typename Number>
ADJUDGE_DEVICE auto policy_weight_overflows(const QLossConstants& rule, Number advantage) {
  const bool limited = rule.weight_limit < 1e38f;
  return less(Number(limited ? INFINITY : policy_exponent_limit), Number(rule.beta) * advantage);
}

// What the gradients are multiplied by.
ADJUDGE_DEVICE double loss_scale(double batch_steps, double counted) {
  return 1 / fmax(1.0, batch_steps >= 0 ? batch_steps : counted);
}

// From sums over counted steps to what q_loss.h says.
ADJUDGE_DEVICE void finish(const QLossRule& rule, double scale, QLossValue& sums) {
  sums.td *= scale;
  sums.conservative *= scale;
  sums.value *= scale;
  sums.policy *= scale;
  sums.loss = rule.td_coefficient * sums.td + rule.conservative_coefficient * sums.conservative +
              rule.value_coefficient * sums.value + rule.policy_coefficient * sums.policy;
  const double mean = 1 / fmax(1.0, sums.steps);
  sums.action_q *= mean;
  sums.target *= mean;
  sums.priority *= mean;
  sums.state_value *= mean;
  sums.policy_weight *= mean;
}

}  // namespace adjudge::rl
