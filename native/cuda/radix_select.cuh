// The element of a given rank among unsigned keys, by counting digits of 8 bits from the highest: one pass
// over the keys a digit. Counts are whole numbers, so that the order of the threads does not show.
#pragma once

#include <cstring>

#include "cuda/launch.h"

namespace adjudge::cuda {

constexpr int radix_bins = 256;
constexpr std::int64_t keys_per_block = 8192;

// In device memory. A caller sets rank (from 0, ascending) and zeroes the rest; afterwards `key` is the
// element, `rank` its place among the elements equal to it and `equal` their number.
struct RadixState {
  std::uint64_t key;
  std::int32_t rank;
  std::int32_t equal;
  std::int32_t bins[radix_bins];
};

// Unsigned numbers in the order of the floating ones. The greatest number of all is no number's key.
SIMT_DEVICE std::uint32_t ordered_bits(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}
SIMT_DEVICE std::uint64_t ordered_bits(double x) {
  std::uint64_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits >> 63 ? ~bits : bits | 0x8000000000000000u;
}
SIMT_DEVICE float of_ordered_bits(std::uint32_t key) {
  const std::uint32_t bits = key >> 31 ? key & 0x7fffffffu : ~key;
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

// state->rank is set on the stream already; the bins are 0.
void enqueue_radix_select(Enqueue& enqueue, const std::uint32_t* keys, std::int64_t count, RadixState* state);
void enqueue_radix_select(Enqueue& enqueue, const std::uint64_t* keys, std::int64_t count, RadixState* state);

}  // namespace adjudge::cuda
