#pragma once

#include <cmath>

// Estimators of KL(policy || reference) at a sampled token and their derivative (Schulman 2020,
// "Approximating KL"); kl_terms.h computes them.
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

}  // namespace adjudge::rl
