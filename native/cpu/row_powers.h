// What kernels over rows of logits share: a block's maximum, and powers of two relative to it.
#pragma once
#include "native/cpu/vector_wide.h"

namespace adjudge {
namespace {

constexpr int64_t logits_block = 4096;        // 16 KiB: searched for its maximum, then read from the cache
constexpr float smallest_exponent = -200.0f;  // of 2, whose power is 0

// 2^x for smallest_exponent <= x <= 0: x = floor(x) + f, and 2^f = 1 + f times a minimax polynomial of degree
// 4, to 1e-7 and 1 at 0. NaN stays NaN.
ADJUDGE_INLINE wide power_of_two(const wide& x) {
  const wide f = fraction(x);
  wide p = wide_splat(1.867126009e-3f);
  p = multiply_add(p, f, wide_splat(9.017040802e-3f));
  p = multiply_add(p, f, wide_splat(5.579990364e-2f));
  p = multiply_add(p, f, wide_splat(2.401644536e-1f));
  p = multiply_add(p, f, wide_splat(6.931513114e-1f));
  p = multiply_add(p, f, wide_splat(1.0f));
  return times_power_of_two(p, x, f);
}

[[maybe_unused]] float block_maximum(const float* logits, int64_t count) {
  wide first = wide_splat(-__builtin_inff()), second = first;
  int64_t i = 0;
  for (; i + 2 * wide_lanes <= count; i += 2 * wide_lanes) {
    first = wide_maximum(wide_load(logits + i), first);
    second = wide_maximum(wide_load(logits + i + wide_lanes), second);
  }
  for (; i < count; i += wide_lanes)
    first = wide_maximum(wide_load(logits + i, count - i, -__builtin_inff()), first);
  return wide_maximum_of_lanes(wide_maximum(first, second));
}

}  // namespace
}  // namespace adjudge
