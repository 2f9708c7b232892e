// Packing of operands, one element at a time: what the functions of pack_avx.h mean, their remainders, and
// the code for processors without AVX2. An element is a float (one depth) or a word of two bfloat16 (even
// depth in the low half, rounded to nearest even; an odd last depth is paired with 0). Static: it is compiled
// once per instruction set.
#pragma once
#include <cstdint>
#include <cstring>

namespace adjudge {
namespace {

// As f32_to_bf16 of native/core/half.h, without a branch.
inline __attribute__((always_inline)) uint32_t bfloat16_bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const uint32_t quiet = (bits >> 16) | 0x40u;  // a NaN stays one
  return (bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded;
}

// target[p * target_stride + i] = source[i * row_stride + p], for at most 16 rows. The vector form may also
// write zeros or what comes next up to the next multiple of 8 rows, so `target` has 16 elements more, and is
// filled upwards.
inline void scalar_pack_depth(const float* source, int64_t row_stride, int64_t rows, int64_t depth,
                              float* target, int64_t target_stride) {
  for (int64_t p = 0; p < depth; ++p) {
    for (int64_t i = 0; i < rows; ++i) target[p * target_stride + i] = source[i * row_stride + p];
  }
}

inline void scalar_pack_depth(const float* source, int64_t row_stride, int64_t rows, int64_t depth,
                              uint32_t* target, int64_t target_stride) {
  for (int64_t p = 0; p < depth; p += 2) {
    for (int64_t i = 0; i < rows; ++i) {
      const float* pair = source + i * row_stride + p;
      const uint32_t odd = p + 1 < depth ? bfloat16_bits(pair[1]) : 0u;
      target[p / 2 * target_stride + i] = bfloat16_bits(pair[0]) | odd << 16;
    }
  }
}

// target[p * target_stride + i] = source[p * depth_stride + i]; rows and room as above.
inline void scalar_pack_width(const float* source, int64_t depth_stride, int64_t rows, int64_t depth,
                              float* target, int64_t target_stride) {
  for (int64_t p = 0; p < depth; ++p) {
    for (int64_t i = 0; i < rows; ++i) target[p * target_stride + i] = source[p * depth_stride + i];
  }
}

inline void scalar_pack_width(const float* source, int64_t depth_stride, int64_t rows, int64_t depth,
                              uint32_t* target, int64_t target_stride) {
  for (int64_t p = 0; p < depth; p += 2) {
    const float* even = source + p * depth_stride;
    const float* odd = p + 1 < depth ? even + depth_stride : nullptr;
    for (int64_t i = 0; i < rows; ++i)
      target[p / 2 * target_stride + i] = bfloat16_bits(even[i]) | (odd ? bfloat16_bits(odd[i]) << 16 : 0u);
  }
}

}  // namespace
}  // namespace adjudge
