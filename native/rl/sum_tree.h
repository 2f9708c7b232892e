#pragma once

#include <cstddef>
#include <cstdint>

#include "rules/sum_tree.h"

// A sum tree over memory of the caller: sampling in proportion to weights, and the smallest weight that is
// not 0.
//
// Nodes have sixteen children (two cache lines), so 10^7 leaves are six levels deep and take 7 % more than
// the leaves alone. A parent is always the sum of its children in their order, never a running difference:
// the tree is a function of its leaves alone, whatever the order of updates, and does not drift.
namespace adjudge::rl {

class SumTree {
 public:
  static constexpr std::size_t fan_out = SumTreeLevels::fan_out;

  // Elements of `sums` (all levels, the leaves first) and of `minima` (the levels above the leaves).
  static std::size_t sums_length(std::size_t leaves);
  static std::size_t minima_length(std::size_t leaves);

  // Both arrays zero at first. They must outlive the view.
  SumTree(std::size_t leaves, double* sums, double* minima);

  std::size_t leaves() const { return leaves_; }
  double leaf(std::size_t index) const { return sums_[index]; }
  double total() const;
  // Infinity where all leaves are 0.
  double smallest_positive() const;

  // Sets leaves (of equal indices the last value counts) and what lies above them. Weights: finite, at least
  // 0.
  void set(const std::int32_t* indices, const double* weights, std::size_t count);
  // Sets what lies above leaves that were written directly.
  void rebuild();
  // The leaf in whose share of [0, total) the mass lies; never a leaf of 0. Needs total() > 0.
  std::size_t find(double mass) const;
  // find() of each mass. Several walk down side by side, so that they wait for memory together.
  void find(const double* masses, std::int32_t* leaves, std::size_t count) const;

 private:
  void update_parent(std::size_t level, std::size_t parent);
  // The node of a level in whose share the mass lies, of the block at `node`.
  std::size_t child(std::size_t level, std::size_t node, double& mass) const;

  std::size_t leaves_;
  double* sums_;
  double* minima_;
  SumTreeLevels levels_;
};

}  // namespace adjudge::rl
