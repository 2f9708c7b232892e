#pragma once

#include <cstddef>
#include <cstdint>

#include "rl/sum_tree.h"
#include "rules/replay.h"

// Drawing from a replay buffer: uniform, or in proportion to priorities with importance weights (Schaul et
// al. 2016).
namespace adjudge::rl {

// With replacement; draw k uses replay_uniform(seed, first_draw + k).
void sample_uniform(std::size_t size, std::uint64_t seed, std::uint64_t first_draw, std::int32_t* indices,
                    std::size_t count);

// P(i) = leaf(i) / total. Throws ARGUMENT_INVALID where all leaves are 0.
void sample_prioritized(const SumTree& tree, ReplaySampling sampling, std::uint64_t seed,
                        std::uint64_t first_draw, std::int32_t* indices, std::size_t count);

// w(i) = (size · P(i))^-beta, normalised. size: entries in the buffer.
void importance_weights(const SumTree& tree, std::size_t size, double beta, ReplayNormalization normalization,
                        const std::int32_t* indices, double* weights, std::size_t count);

// leaf = (|error| + epsilon)^alpha. Returns the largest |error| + epsilon of the call. Throws
// ARGUMENT_INVALID, naming the index, for an error that is not finite or an index outside the buffer's `size`
// entries.
template <typename Float>
double set_priorities(SumTree& tree, std::size_t size, double alpha, double epsilon,
                      const std::int32_t* indices, const Float* errors, std::size_t count);

}  // namespace adjudge::rl
