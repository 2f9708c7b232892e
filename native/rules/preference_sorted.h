#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <vector>

#include "rules/preference_terms.h"

// AOT (Melnyk et al. 2024): distributions are compared, so both sides are sorted and matched by rank.
namespace adjudge::rl {

inline std::vector<std::size_t> ascending_order(const std::vector<double>& values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  return order;
}

// The sum of the losses; matched(l, r, loss) for each rank, in order: the pairs whose sides meet there.
template <typename Matched>
double sorted_loss(const PreferenceRule& rule, const std::vector<double>& left,
                   const std::vector<double>& right, const Matched& matched) {
  const std::vector<std::size_t> left_order = ascending_order(left), right_order = ascending_order(right);
  double sum = 0;
  for (std::size_t rank = 0; rank < left.size(); ++rank) {
    const std::size_t l = left_order[rank], r = right_order[rank];
    const PairLoss<double> loss = margin_loss(rule, rule.beta * (left[l] - right[r]));
    sum += loss.value;
    matched(l, r, loss);
  }
  return sum;
}

}  // namespace adjudge::rl
