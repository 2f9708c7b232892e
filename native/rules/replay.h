#pragma once

#include <cstddef>
#include <cstdint>

#include "rules/device.h"

// Where the draws from a replay buffer fall; see rl/replay.h.
namespace adjudge::rl {

// independent: each draw from the whole; stratified: draw k of n from the k-th of n equal parts of the mass.
enum class ReplaySampling { independent, stratified };

// The importance weights are divided by the largest of the batch, by the largest that the buffer could give,
// or not.
enum class ReplayNormalization { batch, buffer, none };

ADJUDGE_DEVICE std::uint64_t replay_mixed(std::uint64_t value) {
  value += 0x9e3779b97f4a7c15ULL;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
  return value ^ (value >> 31);
}

// A number in [0, 1) that depends on nothing but its arguments (splitmix64, keyed), 53 bits.
ADJUDGE_DEVICE double replay_uniform(std::uint64_t seed, std::uint64_t draw) {
  return static_cast<double>(replay_mixed(replay_mixed(seed) ^ draw) >> 11) * 0x1p-53;
}

// Of `size` entries.
ADJUDGE_DEVICE std::int32_t replay_uniform_index(std::size_t size, std::uint64_t seed, std::uint64_t draw) {
  const auto place = static_cast<std::size_t>(replay_uniform(seed, draw) * static_cast<double>(size));
  return static_cast<std::int32_t>(place < size ? place : size - 1);
}

// Share of the whole mass at which draw k of `count` falls.
ADJUDGE_DEVICE double replay_place(ReplaySampling sampling, std::uint64_t seed, std::uint64_t first_draw,
                                   std::size_t k, std::size_t count) {
  const double place = replay_uniform(seed, first_draw + k);
  if (sampling == ReplaySampling::independent) return place;
  return (static_cast<double>(k) + place) / static_cast<double>(count);
}

}  // namespace adjudge::rl
