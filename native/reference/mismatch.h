#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "rules/off_policy.h"

// Shared by the bodies of off_policy.h: the log ratio of a token, and means over counted tokens.
namespace adjudge::reference {

using namespace rl;

template <typename Float>
bool counts(const RolloutBatch<Float>& batch, std::int32_t t) {
  return !batch.mask || batch.mask[t];
}

// log r; 0 where the rollout's log-prob is missing.
template <typename Float>
double log_ratio(const RolloutBatch<Float>& batch, std::int32_t t) {
  const double rollout = batch.rollout_log_probs[t];
  return std::isnan(rollout) ? 0 : batch.log_probs[t] - rollout;
}

inline double within(double value, double limit) { return std::min(std::max(value, -limit), limit); }

class Mean {
 public:
  void add(double value) {
    sum_ += value;
    count_ += 1;
  }
  double count() const { return count_; }
  double sum() const { return sum_; }
  double value(double count_epsilon = 0) const { return count_ > 0 ? sum_ / (count_ + count_epsilon) : 0; }

 private:
  double sum_ = 0;
  double count_ = 0;
};

// What is said of a list of values, one per row.
struct Summary {
  double mean = 0, deviation = 0, maximum = 0, minimum = 0;
};

// Deviation with n - 1; 0 for fewer than two values.
inline Summary summary_of(const std::vector<double>& values) {
  Summary summary;
  if (values.empty()) return summary;
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  summary.minimum = *low;
  summary.maximum = *high;
  const auto count = static_cast<double>(values.size());
  for (const double value : values) summary.mean += value / count;
  if (values.size() < 2) return summary;
  double squares = 0;
  for (const double value : values) squares += (value - summary.mean) * (value - summary.mean);
  summary.deviation = std::sqrt(squares / (count - 1));
  return summary;
}

// (token, any other token) as a coin; both probabilities are kept off 0 and 1.
struct Coins {
  double p;  // rollout
  double q;  // trained
};

inline Coins coins_of(double log_prob, double rollout_log_prob) {
  const auto safe = [](double x) { return std::min(std::max(std::exp(x), 1e-6), 1 - 1e-6); };
  return {safe(rollout_log_prob), safe(log_prob)};
}

inline double coin_kl(double p, double q) {
  return p * std::log(p / q) + (1 - p) * std::log((1 - p) / (1 - q));
}

}  // namespace adjudge::reference
