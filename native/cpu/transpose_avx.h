// target[c * target_stride + r] = source[r * source_stride + c] in blocks of 8 by 8. Static, for the same
// reason as vector8.h: it is compiled once per instruction set.
#pragma once
#include <immintrin.h>

#include <cstdint>

namespace adjudge {
namespace {

inline __attribute__((always_inline)) void transpose_block(const float* source, int64_t source_stride,
                                                           float* target, int64_t target_stride) {
  __m256 row[8], pair[8], quad[8];
  for (int i = 0; i < 8; ++i) row[i] = _mm256_loadu_ps(source + i * source_stride);
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
    _mm256_storeu_ps(target + i * target_stride, _mm256_permute2f128_ps(quad[i], quad[i + 4], 0x20));
    _mm256_storeu_ps(target + (i + 4) * target_stride, _mm256_permute2f128_ps(quad[i], quad[i + 4], 0x31));
  }
}

void transpose(const float* source, int64_t source_stride, int64_t rows, int64_t columns, float* target,
               int64_t target_stride) {
  const int64_t whole_rows = rows & ~int64_t{7}, whole_columns = columns & ~int64_t{7};
  for (int64_t c = 0; c < whole_columns; c += 8) {
    for (int64_t r = 0; r < whole_rows; r += 8) {
      transpose_block(source + r * source_stride + c, source_stride, target + c * target_stride + r,
                      target_stride);
    }
    for (int64_t r = whole_rows; r < rows; ++r) {
      for (int64_t i = c; i < c + 8; ++i) target[i * target_stride + r] = source[r * source_stride + i];
    }
  }
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = whole_columns; c < columns; ++c)
      target[c * target_stride + r] = source[r * source_stride + c];
  }
}

}  // namespace
}  // namespace adjudge
