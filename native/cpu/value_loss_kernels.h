// Part of cpu/value_loss.cpp: a block of consecutive tokens, which may lie in several rows, by the including
// file's instruction set.
#pragma once
#include <cstdint>

namespace adjudge {

// Every array starts at the block's first token and has `count` elements; null: absent.
struct ValueBlock {
  int64_t count;
  const float* values;
  const float* old_values;  // null: no clip
  const float* returns;
  const uint8_t* mask;
  const double* weights;  // what a token weighs in the loss; null: `weight` each
  double weight;
  double clip;
  double return_pivot;  // subtracted before squares are summed
  double difference_pivot;
  float* gradients;
  bool stream;  // past the caches, where they are aligned
};

// Over counted tokens, added to.
struct ValueSums {
  double loss = 0;
  double values = 0;
  double errors = 0;   // of (v - R)^2
  double returns = 0;  // of R - pivot
  double return_squares = 0;
  double differences = 0;  // of v - R - pivot
  double difference_squares = 0;
  int64_t clipped = 0;
};

using ValueLossKernel = void (*)(const ValueBlock& block, ValueSums& sums);

extern const ValueLossKernel value_loss_portable;
#if defined(__x86_64__)
extern const ValueLossKernel value_loss_avx2;
extern const ValueLossKernel value_loss_avx512;
#endif

}  // namespace adjudge
