#include "rl/sum_tree.h"

#include <algorithm>
#include <limits>

namespace adjudge::rl {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

std::size_t whole_blocks(std::size_t count) {
  return (count + SumTree::fan_out - 1) / SumTree::fan_out * SumTree::fan_out;
}

std::vector<std::size_t> level_lengths(std::size_t leaves) {
  std::vector<std::size_t> lengths{whole_blocks(leaves)};
  while (lengths.back() > SumTree::fan_out)
    lengths.push_back(whole_blocks(lengths.back() / SumTree::fan_out));
  return lengths;
}

}  // namespace

std::size_t SumTree::sums_length(std::size_t leaves) {
  std::size_t sum = 0;
  for (const std::size_t length : level_lengths(leaves)) sum += length;
  return sum;
}

std::size_t SumTree::minima_length(std::size_t leaves) { return sums_length(leaves) - whole_blocks(leaves); }

SumTree::SumTree(std::size_t leaves, double* sums, double* minima)
    : leaves_(leaves), sums_(sums), minima_(minima), lengths_(level_lengths(leaves)) {
  std::size_t start = 0;
  for (const std::size_t length : lengths_) {
    starts_.push_back(start);
    start += length;
  }
}

double SumTree::total() const {
  const double* top = sums_ + starts_.back();
  double sum = 0;
  for (std::size_t i = 0; i < lengths_.back(); ++i) sum += top[i];
  return sum;
}

double SumTree::smallest_positive() const {
  // A sum of 0 marks nodes without a positive leaf, whose minimum was never set.
  const double* top_sums = sums_ + starts_.back();
  const double* top = lengths_.size() > 1 ? minima_ + starts_.back() - lengths_[0] : top_sums;
  double smallest = infinity;
  for (std::size_t i = 0; i < lengths_.back(); ++i) {
    if (top_sums[i] > 0) smallest = std::min(smallest, top[i]);
  }
  return smallest;
}

void SumTree::update_parent(std::size_t level, std::size_t parent) {
  const double* children = sums_ + starts_[level] + parent * fan_out;
  const double* smallest_of =
      level == 0 ? children : minima_ + starts_[level] - lengths_[0] + parent * fan_out;
  double sum = 0;
  double smallest = infinity;
  for (std::size_t i = 0; i < fan_out; ++i) {
    sum += children[i];
    if (children[i] > 0) smallest = std::min(smallest, smallest_of[i]);
  }
  sums_[starts_[level + 1] + parent] = sum;
  minima_[starts_[level + 1] - lengths_[0] + parent] = smallest;
}

void SumTree::set(const std::int32_t* indices, const double* weights, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) sums_[indices[i]] = weights[i];
  if (count * 8 >= leaves_) {
    rebuild();
    return;
  }
  for (std::size_t i = 0; i < count; ++i) {
    auto node = static_cast<std::size_t>(indices[i]);
    for (std::size_t level = 0; level + 1 < lengths_.size(); ++level) {
      node /= fan_out;
      update_parent(level, node);
    }
  }
}

void SumTree::rebuild() {
  for (std::size_t level = 0; level + 1 < lengths_.size(); ++level) {
    const std::size_t parents = lengths_[level] / fan_out;
    for (std::size_t parent = 0; parent < parents; ++parent) update_parent(level, parent);
  }
}

std::size_t SumTree::child(std::size_t level, std::size_t node, double& mass) const {
  const std::size_t width = level + 1 == lengths_.size() ? lengths_[level] : fan_out;
  const double* children = sums_ + starts_[level] + node;
  std::size_t chosen = 0;
  for (std::size_t i = 0; i < width; ++i) {
    if (children[i] <= 0) continue;
    chosen = i;  // where rounding leaves mass over: the last child that is not 0
    if (mass < children[i]) break;
    mass -= children[i];
  }
  return node + chosen;
}

std::size_t SumTree::find(double mass) const {
  std::size_t node = 0;  // first child of the block under search
  for (std::size_t level = lengths_.size(); level-- > 0;) {
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
    for (std::size_t level = lengths_.size(); level-- > 0;) {
      for (std::size_t k = 0; k < several; ++k) {
        nodes[k] = child(level, nodes[k], left[k]);
        if (level == 0) continue;
        nodes[k] *= fan_out;
        const double* next = sums_ + starts_[level - 1] + nodes[k];
        __builtin_prefetch(next);
        __builtin_prefetch(next + 8);
      }
    }
    for (std::size_t k = 0; k < several; ++k) leaves[first + k] = static_cast<std::int32_t>(nodes[k]);
  }
}

}  // namespace adjudge::rl
