#pragma once

#include <cmath>

// Estimators of KL(policy || reference) at a sampled token and their derivative (Schulman 2020,
// "Approximating KL").
namespace adjudge::rl {

// k1 = d, k2 = d^2 / 2, k3 = exp(-d) - 1 + d, absolute = |d|, with d = log_prob - reference_log_prob.
enum class KlKind { k1, k2, k3, absolute };

// Gradient: of the value itself; d (whose expectation is the true gradient of the KL); or d times the
// policy's ratio to the old policy, at most 10 (OpenRLHF's `unbiased_gradient`).
enum class KlGradient { value, unbiased, unbiased_ratio };

struct KlRule {
  KlKind kind = KlKind::k3;
  KlGradient gradient = KlGradient::value;
  double coefficient = 0;
  bool ratio_weighted = false;        // value times the importance ratio (TRL's use_bias_correction_kl)
  double difference_low = -INFINITY;  // bounds of k3's reference_log_prob - log_prob
  double difference_high = INFINITY;
  double value_limit = INFINITY;  // the value is kept within +- this
};

struct KlValue {
  double value;
  double gradient;  // with respect to log_prob
};

inline KlValue kl_divergence(const KlRule& rule, double log_prob, double reference, double old_log_prob) {
  const double d = log_prob - reference;
  KlValue result{d, 1};
  if (rule.kind == KlKind::k2) result = {d * d / 2, d};
  if (rule.kind == KlKind::absolute) result = {std::abs(d), d > 0 ? 1.0 : d < 0 ? -1.0 : 0.0};
  if (rule.kind == KlKind::k3) {
    const double inverse = std::fmin(std::fmax(-d, rule.difference_low), rule.difference_high);
    const bool inside = -d >= rule.difference_low && -d <= rule.difference_high;
    result = {std::expm1(inverse) - inverse, inside ? -std::expm1(inverse) : 0.0};
  }
  if (std::abs(result.value) > rule.value_limit) result = {std::copysign(rule.value_limit, result.value), 0};
  if (rule.gradient == KlGradient::unbiased) result.gradient = d;
  if (rule.gradient == KlGradient::unbiased_ratio) {
    result.gradient = d * std::fmin(std::exp(log_prob - old_log_prob), 10.0);
  }
  return result;
}

}  // namespace adjudge::rl
