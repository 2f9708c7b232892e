// The body of logits_row, included once per instruction set. Reads 4 bytes per logit once from memory: a
// block of 16 KiB is searched for its maximum and then summed from the first-level cache. About 14 flops per
// logit.
#pragma once
#include "native/cpu/logits_kernels.h"
#include "native/cpu/vector_wide.h"

namespace adjudge {
namespace {

constexpr int64_t logits_block = 4096;
constexpr float smallest_exponent = -126.0f;  // of 2: below it a probability counts as 0

struct BlockSums {
  wide sum, weighted, squares;
};

// Of 2^x for x <= 0: x = n + f with |f| <= 1/2, a polynomial of degree 6 in f (Cephes, Moshier 1992).
// NaN stays NaN.
ADJUDGE_INLINE void add_powers(const wide& exponents, BlockSums& sums) {
  const wide x = wide_maximum(wide_splat(smallest_exponent), exponents);
  const wide n = wide_round(x);
  const wide f = x - n;
  wide p = wide_splat(1.535336188319500e-4f);
  p = multiply_add(p, f, wide_splat(1.339887440266574e-3f));
  p = multiply_add(p, f, wide_splat(9.618437357674640e-3f));
  p = multiply_add(p, f, wide_splat(5.550332471162809e-2f));
  p = multiply_add(p, f, wide_splat(2.402264791363012e-1f));
  p = multiply_add(p, f, wide_splat(6.931472028550421e-1f));
  p = multiply_add(p, f, wide_splat(1.0f));
  const wide power = where_above(x, smallest_exponent, times_power_of_two(p, n));
  sums.sum = sums.sum + power;
  sums.weighted = multiply_add(power, x, sums.weighted);
  sums.squares = multiply_add(power, power, sums.squares);
}

void insert(TopLogits& top, float logit, int32_t token) {
  int64_t at = top.found < top.wanted ? top.found++ : top.wanted - 1;
  for (; at > 0 && logit > top.logits[at - 1]; --at) {
    top.logits[at] = top.logits[at - 1];
    top.tokens[at] = top.tokens[at - 1];
  }
  top.logits[at] = logit;
  top.tokens[at] = token;
}

// `block_top`: the largest of [begin, end).
void gather_top(TopLogits& top, const float* logits, int64_t begin, int64_t end, float block_top) {
  int64_t i = begin;
  for (; i < end && top.found < top.wanted; ++i) insert(top, logits[i], static_cast<int32_t>(i));
  if (!(block_top > top.logits[top.wanted - 1])) return;
  for (; i < end; i += wide_lanes) {
    unsigned above =
        lanes_above(wide_load(logits + i, end - i, -__builtin_inff()), top.logits[top.wanted - 1]);
    for (; above != 0; above &= above - 1) {
      const int64_t at = i + __builtin_ctz(above);
      if (logits[at] > top.logits[top.wanted - 1]) insert(top, logits[at], static_cast<int32_t>(at));
    }
  }
}

float block_maximum(const float* logits, int64_t count) {
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

bool has_nan(const float* logits, int64_t count) {
  bool found = false;
  for (int64_t i = 0; i < count; ++i) found |= logits[i] != logits[i];
  return found;
}

LogitsRow logits_row_body(const float* logits, int64_t width, float scale, TopLogits& top) {
  constexpr double ln2 = 0.69314718055994530942;
  const float log2_scale = static_cast<float>(scale / ln2);
  LogitsRow row{-__builtin_inff(), 0, 0, 0};
  for (int64_t begin = 0; begin < width; begin += logits_block) {
    const int64_t end = begin + logits_block < width ? begin + logits_block : width;
    const float block_top = block_maximum(logits + begin, end - begin);
    if (top.wanted > 0) gather_top(top, logits, begin, end, block_top);
    if (block_top == -__builtin_inff()) {
      if (has_nan(logits + begin, end - begin)) row.sum = __builtin_nan("");
      continue;
    }
    const wide zero = wide_splat(0.0f), highest = wide_splat(block_top), factor = wide_splat(log2_scale);
    BlockSums first{zero, zero, zero}, second = first;
    int64_t i = begin;
    for (; i + 2 * wide_lanes <= end; i += 2 * wide_lanes) {
      add_powers((wide_load(logits + i) - highest) * factor, first);
      add_powers((wide_load(logits + i + wide_lanes) - highest) * factor, second);
    }
    for (; i < end; i += wide_lanes)
      add_powers((wide_load(logits + i, end - i, -__builtin_inff()) - highest) * factor, first);
    double sum = wide_sum(first.sum + second.sum);
    double weighted = ln2 * wide_sum(first.weighted + second.weighted);
    double squares = wide_sum(first.squares + second.squares);
    // Both parts relative to the larger of the two maxima.
    const float higher = block_top > row.top ? block_top : row.top;
    const auto lower_to = [&](float from, double& s, double& w, double& q) {
      if (from == higher || s == 0) return;
      const double shift = (static_cast<double>(from) - higher) * scale;
      const double shrink = __builtin_exp(shift);
      w = shrink * (w + (shrink > 0 ? shift * s : 0));
      s *= shrink;
      q *= shrink * shrink;
    };
    lower_to(row.top, row.sum, row.weighted, row.squares);
    lower_to(block_top, sum, weighted, squares);
    row.top = higher;
    row.sum += sum;
    row.weighted += weighted;
    row.squares += squares;
  }
  return row;
}

}  // namespace
}  // namespace adjudge
