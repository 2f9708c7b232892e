// Packing of operands with vectors of 8 floats. Static, for the same reason as vector8.h: it is compiled once
// per instruction set. The scalar meaning of each function stands in pack_scalar.h.
#pragma once
#include <immintrin.h>

#include <cstdint>
#include <type_traits>

#include "native/cpu/pack_scalar.h"

namespace adjudge {
namespace {

inline __attribute__((always_inline)) void transpose_block(__m256 (&row)[8]) {
  __m256 pair[8], quad[8];
  for (int i = 0; i < 8; i += 2) {
    pair[i] = _mm256_unpacklo_ps(row[i], row[i + 1]);
    pair[i + 1] = _mm256_unpackhi_ps(row[i], row[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    quad[i] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0x44);
    quad[i + 1] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0xEE);
    quad[i + 2] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0x44);
    quad[i + 3] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0xEE);
  }
  for (int i = 0; i < 4; ++i) {
    row[i] = _mm256_permute2f128_ps(quad[i], quad[i + 4], 0x20);
    row[i + 4] = _mm256_permute2f128_ps(quad[i], quad[i + 4], 0x31);
  }
}

// bfloat16 bits of 8 floats in the low halves of 8 words, as f32_to_bf16 of native/core/half.h.
inline __attribute__((always_inline)) __m256i round_to_bfloat16(__m256 value) {
  const __m256i bits = _mm256_castps_si256(value);
  const __m256i high = _mm256_srli_epi32(bits, 16);
  const __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
  const __m256i rounded =
      _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(bits, odd), _mm256_set1_epi32(0x7fff)), 16);
  const __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
  const __m256 is_nan = _mm256_cmp_ps(value, value, _CMP_UNORD_Q);
  return _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(is_nan));
}

// The 8 pairs of 16 floats that follow each other.
inline __attribute__((always_inline)) __m256 load_pairs(const float* source) {
  const __m256i first = round_to_bfloat16(_mm256_loadu_ps(source));
  const __m256i second = round_to_bfloat16(_mm256_loadu_ps(source + 8));
  return _mm256_castsi256_ps(_mm256_permute4x64_epi64(_mm256_packus_epi32(first, second), 0xD8));
}

inline __attribute__((always_inline)) __m256 load(const float* source, float) {
  return _mm256_loadu_ps(source);
}
inline __attribute__((always_inline)) __m256 load(const float* source, uint32_t) {
  return load_pairs(source);
}
inline __attribute__((always_inline)) void store(float* target, __m256 value) {
  _mm256_storeu_ps(target, value);
}
inline __attribute__((always_inline)) void store(uint32_t* target, __m256 value) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(target), _mm256_castps_si256(value));
}

template <class Element>
void pack_depth(const float* source, int64_t row_stride, int64_t rows, int64_t depth, Element* target,
                int64_t target_stride) {
  constexpr int64_t depths = std::is_same_v<Element, float> ? 1 : 2;
  constexpr int64_t step = 8 * depths;
  const int64_t whole = depth / step * step;
  for (int64_t p = 0; p < whole; p += step) {
    __m256 low[8], high[8];
    for (int64_t i = 0; i < 8; ++i)
      low[i] = i < rows ? load(source + i * row_stride + p, Element{}) : _mm256_setzero_ps();
    transpose_block(low);
    Element* out = target + p / depths * target_stride;
    if (rows <= 8) {
      for (int64_t j = 0; j < 8; ++j) store(out + j * target_stride, low[j]);
      continue;
    }
    for (int64_t i = 0; i < 8; ++i)
      high[i] = i + 8 < rows ? load(source + (i + 8) * row_stride + p, Element{}) : _mm256_setzero_ps();
    transpose_block(high);
    for (int64_t j = 0; j < 8; ++j) {
      store(out + j * target_stride, low[j]);
      store(out + j * target_stride + 8, high[j]);
    }
  }
  scalar_pack_depth(source + whole, row_stride, rows, depth - whole, target + whole / depths * target_stride,
                    target_stride);
}

template <class Element>
void pack_width(const float* source, int64_t depth_stride, int64_t rows, int64_t depth, Element* target,
                int64_t target_stride);

// Vectors read up to 16 floats from where a depth begins: only where the operand goes on that far.
inline int64_t vector_depths(int64_t depth_stride, int64_t depth) {
  const int64_t scalar = (16 + depth_stride - 1) / depth_stride;
  return depth > scalar ? depth - scalar : 0;
}

template <>
void pack_width<float>(const float* source, int64_t depth_stride, int64_t rows, int64_t depth, float* target,
                       int64_t target_stride) {
  const int64_t whole = vector_depths(depth_stride, depth);
  for (int64_t p = 0; p < whole; ++p) {
    const float* from = source + p * depth_stride;
    float* to = target + p * target_stride;
    _mm256_storeu_ps(to, _mm256_loadu_ps(from));
    if (rows > 8) _mm256_storeu_ps(to + 8, _mm256_loadu_ps(from + 8));
  }
  scalar_pack_width(source + whole * depth_stride, depth_stride, rows, depth - whole,
                    target + whole * target_stride, target_stride);
}

template <>
void pack_width<uint32_t>(const float* source, int64_t depth_stride, int64_t rows, int64_t depth,
                          uint32_t* target, int64_t target_stride) {
  const int64_t whole = vector_depths(depth_stride, depth) / 2;
  for (int64_t p = 0; p < whole; ++p) {
    for (int64_t i = 0; i < rows; i += 8) {
      const float* even = source + 2 * p * depth_stride + i;
      const __m256i low = round_to_bfloat16(_mm256_loadu_ps(even));
      const __m256i high = round_to_bfloat16(_mm256_loadu_ps(even + depth_stride));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(target + p * target_stride + i),
                          _mm256_or_si256(low, _mm256_slli_epi32(high, 16)));
    }
  }
  scalar_pack_width(source + 2 * whole * depth_stride, depth_stride, rows, depth - 2 * whole,
                    target + whole * target_stride, target_stride);
}

}  // namespace
}  // namespace adjudge
