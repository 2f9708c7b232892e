#pragma once

#include <cstddef>

#include "rules/device.h"

// The shape of a sum tree, and what is done at one of its nodes; see rl/sum_tree.h.
namespace adjudge::rl {

// Nodes of a level lie in whole blocks of siblings, level after level, the leaves first. The last level is
// one block. Minima are kept of the levels above the leaves alone, laid out alike.
struct SumTreeLevels {
  static constexpr std::size_t fan_out = 16;
  static constexpr std::size_t most = 16;

  std::size_t count = 0;
  std::size_t starts[most] = {};
  std::size_t lengths[most] = {};

  explicit SumTreeLevels(std::size_t leaves) {
    std::size_t start = 0;
    for (std::size_t length = whole_blocks(leaves);; length = whole_blocks(length / fan_out)) {
      starts[count] = start;
      lengths[count++] = length;
      start += length;
      if (length <= fan_out) break;
    }
  }

  std::size_t total() const { return starts[count - 1] + lengths[count - 1]; }

  static constexpr std::size_t whole_blocks(std::size_t nodes) {
    return (nodes + fan_out - 1) / fan_out * fan_out;
  }
};

// The child in whose share the mass lies; the mass becomes what is left of it there.
ADJUDGE_DEVICE std::size_t sum_tree_child(const double* children, std::size_t width, double& mass) {
  std::size_t chosen = 0;
  for (std::size_t i = 0; i < width; ++i) {
    if (children[i] <= 0) continue;
    chosen = i;  // where rounding leaves mass over: the last child that is not 0
    if (mass < children[i]) break;
    mass -= children[i];
  }
  return chosen;
}

ADJUDGE_DEVICE double sum_tree_sum(const double* children, std::size_t width) {
  double sum = 0;
  for (std::size_t i = 0; i < width; ++i) sum += children[i];
  return sum;
}

// The smallest of the nodes whose sum is above 0 (others never had a minimum); `otherwise` where none is.
ADJUDGE_DEVICE double sum_tree_smallest(const double* sums, const double* minima, std::size_t width,
                                        double otherwise) {
  double smallest = otherwise;
  for (std::size_t i = 0; i < width; ++i) {
    if (sums[i] > 0 && minima[i] < smallest) smallest = minima[i];
  }
  return smallest;
}

}  // namespace adjudge::rl
