#include "rl/replay.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/error.h"

namespace adjudge::rl {
namespace {

std::uint64_t mixed(std::uint64_t value) {
  value += 0x9e3779b97f4a7c15ULL;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
  return value ^ (value >> 31);
}

}  // namespace

double replay_uniform(std::uint64_t seed, std::uint64_t draw) {
  return static_cast<double>(mixed(mixed(seed) ^ draw) >> 11) * 0x1p-53;
}

void sample_uniform(std::size_t size, std::uint64_t seed, std::uint64_t first_draw, std::int32_t* indices,
                    std::size_t count) {
  for (std::size_t k = 0; k < count; ++k) {
    const double place = replay_uniform(seed, first_draw + k) * static_cast<double>(size);
    indices[k] = static_cast<std::int32_t>(std::min(static_cast<std::size_t>(place), size - 1));
  }
}

void sample_prioritized(const SumTree& tree, ReplaySampling sampling, std::uint64_t seed,
                        std::uint64_t first_draw, std::int32_t* indices, std::size_t count) {
  const double total = tree.total();
  if (!(total > 0) || !std::isfinite(total)) {
    throw Error{
        "ARGUMENT_INVALID",
        "priorities: expected at least one above 0 and a finite sum; set epsilon above 0 so that none is 0"};
  }
  for (std::size_t k = 0; k < count; ++k) {
    double place = replay_uniform(seed, first_draw + k);
    if (sampling == ReplaySampling::stratified) {
      place = (static_cast<double>(k) + place) / static_cast<double>(count);
    }
    indices[k] = static_cast<std::int32_t>(tree.find(place * total));
  }
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
