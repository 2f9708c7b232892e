// First-order linear recurrences from the right: x_t = sum_t + decay_t x_{t+1}, over the threads of a block.
#pragma once

#include "cuda/simt.h"
#include "rules/off_policy_returns.h"

namespace adjudge::cuda {

// x -> sum + decay x. In f64: over thousands of tokens the roundings of a decay near 1 add up.
struct Affine {
  double sum;
  double decay;
};

SIMT_DEVICE Affine unchanged() { return {0, 1}; }

// First `inner`, then `outer`.
SIMT_DEVICE Affine after(Affine outer, Affine inner) {
  const double decay = outer.decay * inner.decay;
  return {outer.sum + outer.decay * inner.sum, decay < rl::largest_decay ? decay : rl::largest_decay};
}

SIMT_DEVICE Affine shuffle_down(Affine value, int distance) {
  return {simt::shuffle_down(value.sum, distance), simt::shuffle_down(value.decay, distance)};
}

// What enters a thread's own map from all threads of higher number, with `carry` entering the last one.
// `carry` becomes what leaves thread 0. All threads of the block call
// it.
SIMT_DEVICE double scan_from_right(Affine own, double& carry) {
  SIMT_SHARED Affine warp_maps[simt::warp_size];
  Affine inclusive = own;
  for (int distance = 1; distance < simt::warp_size; distance *= 2) {
    const Affine right = shuffle_down(inclusive, distance);
    if (simt::lane() + distance < simt::warp_size) inclusive = after(inclusive, right);
  }
  Affine exclusive = shuffle_down(inclusive, 1);
  if (simt::lane() == simt::warp_size - 1) exclusive = unchanged();
  if (simt::lane() == 0) warp_maps[simt::warp()] = inclusive;
  simt::block_barrier();
  double value = carry;
  double entering = carry;
  for (int i = simt::warps() - 1; i >= 0; --i) {
    if (i == simt::warp()) entering = value;
    value = warp_maps[i].sum + warp_maps[i].decay * value;
  }
  carry = value;
  simt::block_barrier();
  return exclusive.sum + exclusive.decay * entering;
}

// Of the lane's own and all lower ones. All lanes of the warp call it.
template <typename T>
SIMT_DEVICE T warp_prefix_sum(T value) {
  for (int distance = 1; distance < simt::warp_size; distance *= 2) {
    const T left = simt::shuffle_up(value, distance);
    if (simt::lane() >= distance) value += left;
  }
  return value;
}

// The value of the nearest thread of higher number that has one, else `carry`; `carry` becomes the value of
// the lowest thread that has one. All threads of the block call it.
SIMT_DEVICE float nearest_from_right(float value, bool has, float& carry) {
  SIMT_SHARED float warp_values[simt::warp_size];
  SIMT_SHARED bool warp_has[simt::warp_size];
  const unsigned holders = simt::ballot(has);
  const unsigned right = simt::lane() == 31 ? 0u : holders & (simt::all_lanes << (simt::lane() + 1));
  const auto lowest = [](unsigned bits) {
    int place = 0;
    while (!(bits >> place & 1u)) ++place;
    return place;
  };
  const float found = simt::shuffle(value, right != 0 ? lowest(right) : simt::lane());
  const float first = simt::shuffle(value, holders != 0 ? lowest(holders) : 0);
  if (simt::lane() == 0) {
    warp_values[simt::warp()] = first;
    warp_has[simt::warp()] = holders != 0;
  }
  simt::block_barrier();
  float result = carry;
  float whole = carry;
  for (int i = simt::warps() - 1; i >= 0; --i) {
    if (i == simt::warp()) result = whole;
    if (warp_has[i]) whole = warp_values[i];
  }
  carry = whole;
  simt::block_barrier();
  return right != 0 ? found : result;
}

}  // namespace adjudge::cuda
