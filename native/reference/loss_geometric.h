#pragma once

#include <algorithm>

// GMPO (Zhao et al. 2025, arXiv 2507.20673): the geometric mean of a row's token ratios, each held on the
// side its advantage pushes to: log ratio at most `high` with A > 0, at least -`low` with A < 0.
namespace adjudge::reference {

struct HeldLogRatio {
  double value;
  double slope;  // 1 or 0
};

inline HeldLogRatio held_log_ratio(double log_ratio, double advantage, double low, double high) {
  if (advantage > 0) return {std::min(log_ratio, high), log_ratio <= high ? 1.0 : 0.0};
  if (advantage < 0) return {std::max(log_ratio, -low), log_ratio >= -low ? 1.0 : 0.0};
  return {0, 0};
}

}  // namespace adjudge::reference
