#pragma once

#include <cmath>

#include "rules/device.h"
#include "rules/preference.h"

// From sums over what was compared to the metrics. `Sums`: fields reward_chosen, reward_rejected,
// log_prob_chosen, log_prob_rejected, and over pairs higher (how often the chosen one has the higher reward),
// margin, log_odds, log_sigmoid_odds.
namespace adjudge::rl {

ADJUDGE_DEVICE double mean_or_nan(double sum, double count) {
  return count > 0 ? sum / count : static_cast<double>(NAN);
}

template <typename Sums>
ADJUDGE_DEVICE void side_means(const Sums& sums, double chosen, double rejected, PreferenceMetrics& metrics) {
  metrics.reward_chosen = mean_or_nan(sums.reward_chosen, chosen);
  metrics.reward_rejected = mean_or_nan(sums.reward_rejected, rejected);
  metrics.log_prob_chosen = mean_or_nan(sums.log_prob_chosen, chosen);
  metrics.log_prob_rejected = mean_or_nan(sums.log_prob_rejected, rejected);
}

// least, most: rewards over both sides.
template <typename Sums>
ADJUDGE_DEVICE void pair_means(const Sums& sums, double pairs, double least, double most,
                               PreferenceMetrics& metrics) {
  side_means(sums, pairs, pairs, metrics);
  metrics.accuracy = mean_or_nan(sums.higher, pairs);
  metrics.margin = mean_or_nan(sums.margin, pairs);
  metrics.log_odds = mean_or_nan(sums.log_odds, pairs);
  metrics.log_sigmoid_odds = mean_or_nan(sums.log_sigmoid_odds, pairs);
  metrics.reward_mean = (metrics.reward_chosen + metrics.reward_rejected) / 2;
  metrics.reward_least = pairs > 0 ? least : static_cast<double>(NAN);
  metrics.reward_most = pairs > 0 ? most : static_cast<double>(NAN);
}

// kto: completions that are desirable or not, each by itself.
template <typename Sums>
ADJUDGE_DEVICE void single_means(const Sums& sums, double desirable, double undesirable,
                                 PreferenceMetrics& metrics) {
  side_means(sums, desirable, undesirable, metrics);
  metrics.margin = metrics.reward_chosen - metrics.reward_rejected;
  metrics.accuracy = static_cast<double>(NAN);
}

}  // namespace adjudge::rl
