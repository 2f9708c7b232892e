#pragma once

#include "rules/policy_loss.h"

// The numbers of a rule in the form that the coefficient code reads: f32, bounds instead of distances.
namespace adjudge::rl {

struct KlConstants {
  KlKind kind;
  KlGradient gradient;
  float coefficient;
  bool ratio_weighted;
  float difference_low;
  float difference_high;
  float value_limit;
};

struct LossConstants {
  LossKind kind;
  float ratio_low;  // 1 - clip_low
  float ratio_high;
  float clip_low;
  float clip_high;
  float dual_clip;
  float ratio_cap;
  float log_ratio_low;
  float log_ratio_high;
  float temperature_positive;
  float temperature_negative;
  float quadratic_coefficient;
  float covariance_kl_coefficient;
  KlConstants kl;
};

// A log ratio is held here at the latest: in f32 an infinite ratio times an advantage of 0 would be NaN, and
// sums of ratios have to stay finite as well.
inline constexpr float single_overflow_limit = 80;

inline constexpr float single_infinity = __builtin_inff();

inline KlConstants kl_constants(const KlRule& rule) {
  const auto single = [](double x) { return static_cast<float>(x); };
  return {rule.kind,
          rule.gradient,
          single(rule.coefficient),
          rule.ratio_weighted,
          single(rule.difference_low),
          single(rule.difference_high),
          single(rule.value_limit)};
}

inline LossConstants loss_constants(const LossRule& rule) {
  const auto single = [](double x) { return static_cast<float>(x); };
  return {rule.kind,
          single(1 - rule.clip_low),
          single(1 + rule.clip_high),
          single(rule.clip_low),
          single(rule.clip_high),
          single(rule.dual_clip),
          single(rule.ratio_cap),
          single(rule.log_ratio_low),
          single(rule.log_ratio_high),
          single(rule.temperature_positive),
          single(rule.temperature_negative),
          single(rule.quadratic_coefficient),
          single(rule.covariance.kl_coefficient),
          kl_constants(rule.kl)};
}

}  // namespace adjudge::rl
