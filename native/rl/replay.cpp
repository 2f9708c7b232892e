#include "rl/replay.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/thread_pool.h"

namespace adjudge::rl {
namespace {

constexpr std::size_t draws_per_item = 2048;

}  // namespace

void sample_uniform(std::size_t size, std::uint64_t seed, std::uint64_t first_draw, std::int32_t* indices,
                    std::size_t count) {
  for (std::size_t k = 0; k < count; ++k) indices[k] = replay_uniform_index(size, seed, first_draw + k);
}

void sample_prioritized(const SumTree& tree, ReplaySampling sampling, std::uint64_t seed,
                        std::uint64_t first_draw, std::int32_t* indices, std::size_t count) {
  const double total = tree.total();
  if (!(total > 0) || !std::isfinite(total)) {
    throw Error{
        "ARGUMENT_INVALID",
        "priorities: expected at least one above 0 and a finite sum; set epsilon above 0 so that none is 0"};
  }
  const auto part = [&](std::int64_t item, int) {
    double masses[draws_per_item];
    const std::size_t start = static_cast<std::size_t>(item) * draws_per_item;
    const std::size_t size = std::min(draws_per_item, count - start);
    for (std::size_t k = 0; k < size; ++k) {
      masses[k] = total * replay_place(sampling, seed, first_draw, start + k, count);
    }
    tree.find(masses, indices + start, size);
  };
  if (count <= draws_per_item) return part(0, 0);
  parallel_for(static_cast<std::int64_t>((count + draws_per_item - 1) / draws_per_item), part);
}

void importance_weights(const SumTree& tree, std::size_t size, double beta, ReplayNormalization normalization,
                        const std::int32_t* indices, double* weights, std::size_t count) {
  // (size · P)^-beta over its value at the rarest entry: size and total fall out.
  double unit = tree.total() / static_cast<double>(size);
  if (normalization == ReplayNormalization::buffer) unit = tree.smallest_positive();
  if (normalization == ReplayNormalization::batch) {
    unit = INFINITY;
    for (std::size_t k = 0; k < count; ++k) {
      unit = std::min(unit, tree.leaf(static_cast<std::size_t>(indices[k])));
    }
  }
  for (std::size_t k = 0; k < count; ++k) {
    weights[k] = std::pow(unit / tree.leaf(static_cast<std::size_t>(indices[k])), beta);
  }
}

template <typename Float>
double set_priorities(SumTree& tree, std::size_t size, double alpha, double epsilon,
                      const std::int32_t* indices, const Float* errors, std::size_t count) {
  std::vector<double> leaves(count);
  double largest = 0;
  for (std::size_t k = 0; k < count; ++k) {
    if (indices[k] < 0 || static_cast<std::size_t>(indices[k]) >= size) {
      throw Error{"ARGUMENT_INVALID", "indices[" + std::to_string(k) + "] is " + std::to_string(indices[k]) +
                                          ", expected an entry of the buffer (0 to " +
                                          std::to_string(size - 1) + ")"};
    }
    const double priority = std::fabs(static_cast<double>(errors[k])) + epsilon;
    leaves[k] = std::pow(priority, alpha);
    if (!std::isfinite(priority) || !std::isfinite(leaves[k])) {
      throw Error{"ARGUMENT_INVALID", "errors[" + std::to_string(k) + "] is " +
                                          std::to_string(static_cast<double>(errors[k])) +
                                          ", expected a finite number"};
    }
    largest = std::max(largest, priority);
  }
  tree.set(indices, leaves.data(), count);
  return largest;
}

template double set_priorities(SumTree&, std::size_t, double, double, const std::int32_t*, const float*,
                               std::size_t);
template double set_priorities(SumTree&, std::size_t, double, double, const std::int32_t*, const double*,
                               std::size_t);

}  // namespace adjudge::rl
