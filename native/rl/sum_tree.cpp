#include "rl/sum_tree.h"

#include <algorithm>
#include <limits>

namespace adjudge::rl {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

}  // namespace

std::size_t SumTree::sums_length(std::size_t leaves) { return SumTreeLevels(leaves).total(); }

std::size_t SumTree::minima_length(std::size_t leaves) {
  return sums_length(leaves) - SumTreeLevels::whole_blocks(leaves);
}

SumTree::SumTree(std::size_t leaves, double* sums, double* minima)
    : leaves_(leaves), sums_(sums), minima_(minima), levels_(leaves) {}

double SumTree::total() const {
  const std::size_t top = levels_.count - 1;
  return sum_tree_sum(sums_ + levels_.starts[top], levels_.lengths[top]);
}

double SumTree::smallest_positive() const {
  const std::size_t top = levels_.count - 1;
  const double* sums = sums_ + levels_.starts[top];
  return sum_tree_smallest(sums, top > 0 ? minima_ + levels_.starts[top] - levels_.lengths[0] : sums,
                           levels_.lengths[top], infinity);
}

void SumTree::update_parent(std::size_t level, std::size_t parent) {
  const std::size_t above = levels_.starts[level + 1] + parent;
  const std::size_t block = levels_.starts[level] + parent * fan_out;
  const double* children = sums_ + block;
  sums_[above] = sum_tree_sum(children, fan_out);
  minima_[above - levels_.lengths[0]] = sum_tree_smallest(
      children, level == 0 ? children : minima_ + block - levels_.lengths[0], fan_out, infinity);
}

void SumTree::set(const std::int32_t* indices, const double* weights, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) sums_[indices[i]] = weights[i];
  if (count * 8 >= leaves_) {
    rebuild();
    return;
  }
  for (std::size_t i = 0; i < count; ++i) {
    auto node = static_cast<std::size_t>(indices[i]);
    for (std::size_t level = 0; level + 1 < levels_.count; ++level) {
      node /= fan_out;
      update_parent(level, node);
    }
  }
}

void SumTree::rebuild() {
  for (std::size_t level = 0; level + 1 < levels_.count; ++level) {
    const std::size_t parents = levels_.lengths[level] / fan_out;
    for (std::size_t parent = 0; parent < parents; ++parent) update_parent(level, parent);
  }
}

std::size_t SumTree::child(std::size_t level, std::size_t node, double& mass) const {
  const std::size_t width = level + 1 == levels_.count ? levels_.lengths[level] : fan_out;
  return node + sum_tree_child(sums_ + levels_.starts[level] + node, width, mass);
}

std::size_t SumTree::find(double mass) const {
  std::size_t node = 0;  // first child of the block under search
  for (std::size_t level = levels_.count; level-- > 0;) {
    node = child(level, node, mass);
    if (level > 0) node *= fan_out;
  }
  return node;
}

void SumTree::find(const double* masses, std::int32_t* leaves, std::size_t count) const {
  constexpr std::size_t side_by_side = 16;
  for (std::size_t first = 0; first < count; first += side_by_side) {
    const std::size_t several = std::min(side_by_side, count - first);
    double left[side_by_side];
    std::size_t nodes[side_by_side] = {};
    std::copy_n(masses + first, several, left);
    for (std::size_t level = levels_.count; level-- > 0;) {
      for (std::size_t k = 0; k < several; ++k) {
        nodes[k] = child(level, nodes[k], left[k]);
        if (level == 0) continue;
        nodes[k] *= fan_out;
        const double* next = sums_ + levels_.starts[level - 1] + nodes[k];
        __builtin_prefetch(next);
        __builtin_prefetch(next + 8);
      }
    }
    for (std::size_t k = 0; k < several; ++k) leaves[first + k] = static_cast<std::int32_t>(nodes[k]);
  }
}

}  // namespace adjudge::rl
