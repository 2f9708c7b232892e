// Sums and extremes over a warp or a block, in a fixed order.
#pragma once

#include "cuda/simt.h"

namespace adjudge::cuda {

struct Plus {
  template <typename T>
  SIMT_DEVICE T operator()(T a, T b) const {
    return a + b;
  }
};

struct Larger {
  template <typename T>
  SIMT_DEVICE T operator()(T a, T b) const {
    return a < b ? b : a;
  }
};

struct Smaller {
  template <typename T>
  SIMT_DEVICE T operator()(T a, T b) const {
    return b < a ? b : a;
  }
};

// The result in every lane.
template <typename T, typename Combine>
SIMT_DEVICE T warp_reduce(T value, Combine combine) {
  for (int bits = simt::warp_size / 2; bits > 0; bits /= 2)
    value = combine(value, simt::shuffle_xor(value, bits));
  return value;
}

// The result in every thread. All threads of the block call it.
template <typename T, typename Combine>
SIMT_DEVICE T block_reduce(T value, Combine combine) {
  SIMT_SHARED T partial[simt::warp_size];
  value = warp_reduce(value, combine);
  if (simt::lane() == 0) partial[simt::warp()] = value;
  simt::block_barrier();
  T result = partial[0];
  for (int i = 1; i < simt::warps(); ++i) result = combine(result, partial[i]);
  simt::block_barrier();
  return result;
}

template <typename T>
SIMT_DEVICE T warp_sum(T value) {
  return warp_reduce(value, Plus{});
}

template <typename T>
SIMT_DEVICE T block_sum(T value) {
  return block_reduce(value, Plus{});
}

// Every field of a record of doubles. All threads of the block call it; the result in every thread.
template <typename Record>
SIMT_DEVICE Record block_sum_fields(const Record& record) {
  static_assert(sizeof(Record) % sizeof(double) == 0);
  Record result;
  const auto* from = reinterpret_cast<const double*>(&record);
  auto* to = reinterpret_cast<double*>(&result);
  for (std::size_t i = 0; i < sizeof(Record) / sizeof(double); ++i) to[i] = block_sum(from[i]);
  return result;
}

// The number of threads below this one whose flag is set, past `before`, which grows by those of the whole
// block. All threads of the block call it.
SIMT_DEVICE std::int32_t block_rank(bool flag, std::int32_t& before) {
  SIMT_SHARED std::int32_t warp_flags[simt::warp_size];
  const unsigned lanes = simt::ballot(flag);
  if (simt::lane() == 0) warp_flags[simt::warp()] = simt::count_bits(lanes);
  simt::block_barrier();
  std::int32_t rank = before + simt::count_bits(lanes & ((1u << simt::lane()) - 1));
  for (int i = 0; i < simt::warps(); ++i) {
    if (i < simt::warp()) rank += warp_flags[i];
    before += warp_flags[i];
  }
  simt::block_barrier();
  return rank;
}

}  // namespace adjudge::cuda
