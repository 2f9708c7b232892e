// The body of logits_row, included once per instruction set. Reads 4 bytes per logit once from memory: a
// block of 16 KiB is searched for its maximum and then summed from the first-level cache. About 14 flops per
// logit.
#pragma once
#include "native/cpu/logits_kernels.h"
#include "native/cpu/row_powers.h"

namespace adjudge {
namespace {

struct BlockSums {
  wide sum, weighted, squares;
};

template <bool with_squares>
ADJUDGE_INLINE void add_powers(const wide& exponents, BlockSums& sums) {
  const wide x = wide_maximum(wide_splat(smallest_exponent), exponents);
  const wide power = power_of_two(x);
  sums.sum = sums.sum + power;
  sums.weighted = multiply_add(power, x, sums.weighted);
  if (with_squares) sums.squares = multiply_add(power, power, sums.squares);
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

bool has_nan(const float* logits, int64_t count) {
  bool found = false;
  for (int64_t i = 0; i < count; ++i) found |= logits[i] != logits[i];
  return found;
}

// The sums so far, lane by lane, relative to the largest logit so far.
struct RowSums {
  double sum[wide_lanes] = {};
  double weighted[wide_lanes] = {};  // of exponents of 2
  double squares[wide_lanes] = {};

  // The reference rises by `exponents` of 2.
  void lower(double exponents) {
    const double shrink = __builtin_exp2(-exponents);
    for (int64_t i = 0; i < wide_lanes; ++i) {
      weighted[i] = shrink * (weighted[i] - (shrink > 0 ? exponents * sum[i] : 0));
      sum[i] *= shrink;
      squares[i] *= shrink * shrink;
    }
  }

  void add(const BlockSums& a, const BlockSums& b) {
    const auto add_lanes = [](double* to, const wide& x) {
      float lanes[wide_lanes];
      __builtin_memcpy(lanes, &x, sizeof lanes);
      for (int64_t i = 0; i < wide_lanes; ++i) to[i] += static_cast<double>(lanes[i]);
    };
    add_lanes(sum, a.sum + b.sum);
    add_lanes(weighted, a.weighted + b.weighted);
    add_lanes(squares, a.squares + b.squares);
  }
};

double total(const double* lanes) {
  double result = 0;
  for (int64_t i = 0; i < wide_lanes; ++i) result += lanes[i];
  return result;
}

template <bool with_squares>
LogitsRow row_sums(const float* logits, int64_t width, float scale, TopLogits& top) {
  constexpr double ln2 = 0.69314718055994530942;
  const float log2_scale = static_cast<float>(scale / ln2);
  const wide zero = wide_splat(0.0f), factor = wide_splat(log2_scale);
  float row_top = -__builtin_inff();
  bool nan = false;
  RowSums sums;
  for (int64_t begin = 0; begin < width; begin += logits_block) {
    const int64_t end = begin + logits_block < width ? begin + logits_block : width;
    const float block_top = block_maximum(logits + begin, end - begin);
    if (top.wanted > 0) gather_top(top, logits, begin, end, block_top);
    if (block_top == -__builtin_inff()) {
      nan |= has_nan(logits + begin, end - begin);
      continue;
    }
    if (block_top > row_top) {
      if (begin > 0 && row_top > -__builtin_inff())
        sums.lower((static_cast<double>(block_top) - static_cast<double>(row_top)) * scale / ln2);
      row_top = block_top;
    }
    const wide highest = wide_splat(row_top);
    BlockSums first{zero, zero, zero}, second = first;
    // Memory is read ahead while the block is summed: as many of the next block's lines.
    const float* ahead = logits + (end + logits_block <= width ? logits_block : 0);
    int64_t i = begin;
    for (; i + 2 * wide_lanes <= end; i += 2 * wide_lanes) {
      for (int64_t line = 0; line < 2 * wide_lanes; line += 16) __builtin_prefetch(ahead + i + line, 0, 2);
      add_powers<with_squares>((wide_load(logits + i) - highest) * factor, first);
      add_powers<with_squares>((wide_load(logits + i + wide_lanes) - highest) * factor, second);
    }
    for (; i < end; i += wide_lanes)
      add_powers<with_squares>((wide_load(logits + i, end - i, -__builtin_inff()) - highest) * factor, first);
    sums.add(first, second);
  }
  if (nan) return {row_top, __builtin_nan(""), 0, 0};
  return {row_top, total(sums.sum), ln2 * total(sums.weighted), total(sums.squares)};
}

LogitsRow logits_row_body(const float* logits, int64_t width, float scale, bool with_squares,
                          TopLogits& top) {
  return with_squares ? row_sums<true>(logits, width, scale, top)
                      : row_sums<false>(logits, width, scale, top);
}

}  // namespace
}  // namespace adjudge
