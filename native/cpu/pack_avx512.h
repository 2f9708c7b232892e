// Packing of operands with vectors of 16 floats. Masks bound what is read and written, so there is no
// remainder and nothing past the operand's end is touched. Static, for the same reason as vector8.h: it is
// compiled once per instruction set. The scalar meaning of each function stands in pack_scalar.h.
#pragma once
#include <immintrin.h>

#include <cstdint>
#include <type_traits>

namespace adjudge {
namespace {

inline __attribute__((always_inline)) __mmask16 first_lanes(int64_t count) {
  return count >= 16 ? 0xffff : count <= 0 ? 0 : static_cast<__mmask16>((1u << count) - 1);
}

// bfloat16 bits of 16 floats in the high halves of 16 words, as f32_to_bf16 of native/core/half.h; the low
// halves hold what is left.
inline __attribute__((always_inline)) __m512i round_to_bfloat16(__m512 value) {
  const __m512i bits = _mm512_castps_si512(value);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, odd), _mm512_set1_epi32(0x7fff));
  const __mmask16 is_nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
  return _mm512_mask_or_epi32(rounded, is_nan, bits, _mm512_set1_epi32(0x400000));
}

// Depths [p, p + 16 elements) of one row, of which `depth` exist.
inline __attribute__((always_inline)) __m512i load_depths(const float* row, int64_t depth, float) {
  return _mm512_castps_si512(_mm512_maskz_loadu_ps(first_lanes(depth), row));
}
inline __attribute__((always_inline)) __m512i load_depths(const float* row, int64_t depth, uint32_t) {
  const __m512i first = round_to_bfloat16(_mm512_maskz_loadu_ps(first_lanes(depth), row));
  const __m512i second = round_to_bfloat16(_mm512_maskz_loadu_ps(first_lanes(depth - 16), row + 16));
  const __m512i high_halves = _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33,
                                               31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
  return _mm512_permutex2var_epi16(first, high_halves, second);
}

// Lane i of row j becomes lane j of row i.
inline __attribute__((always_inline)) void transpose_block(__m512i (&row)[16]) {
  __m512i pair[16], quad[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    pair[i] = _mm512_unpacklo_epi32(row[i], row[i + 1]);
    pair[i + 1] = _mm512_unpackhi_epi32(row[i], row[i + 1]);
  }
  // quad[4 g + c]: in each of its quarters q the lanes 4 g.. of rows of column 4 q + c.
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    quad[i] = _mm512_unpacklo_epi64(pair[i], pair[i + 2]);
    quad[i + 1] = _mm512_unpackhi_epi64(pair[i], pair[i + 2]);
    quad[i + 2] = _mm512_unpacklo_epi64(pair[i + 1], pair[i + 3]);
    quad[i + 3] = _mm512_unpackhi_epi64(pair[i + 1], pair[i + 3]);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    const __m512i low01 = _mm512_shuffle_i32x4(quad[c], quad[4 + c], 0x44);
    const __m512i high01 = _mm512_shuffle_i32x4(quad[c], quad[4 + c], 0xEE);
    const __m512i low23 = _mm512_shuffle_i32x4(quad[8 + c], quad[12 + c], 0x44);
    const __m512i high23 = _mm512_shuffle_i32x4(quad[8 + c], quad[12 + c], 0xEE);
    row[c] = _mm512_shuffle_i32x4(low01, low23, 0x88);
    row[4 + c] = _mm512_shuffle_i32x4(low01, low23, 0xDD);
    row[8 + c] = _mm512_shuffle_i32x4(high01, high23, 0x88);
    row[12 + c] = _mm512_shuffle_i32x4(high01, high23, 0xDD);
  }
}

template <class Element>
void pack_depth(const float* source, int64_t row_stride, int64_t rows, int64_t depth, Element* target,
                int64_t target_stride) {
  constexpr int64_t depths = std::is_same_v<Element, float> ? 1 : 2;
  const __mmask16 lanes = first_lanes(rows);
  for (int64_t p = 0; p < depth; p += 16 * depths) {
    __m512i block[16];
    for (int64_t i = 0; i < 16; ++i)
      block[i] =
          i < rows ? load_depths(source + i * row_stride + p, depth - p, Element{}) : _mm512_setzero_si512();
    transpose_block(block);
    const int64_t rest = (depth - p + depths - 1) / depths, elements = rest < 16 ? rest : 16;
    Element* out = target + p / depths * target_stride;
    for (int64_t j = 0; j < elements; ++j) _mm512_mask_storeu_epi32(out + j * target_stride, lanes, block[j]);
  }
}

template <class Element>
void pack_width(const float* source, int64_t depth_stride, int64_t rows, int64_t depth, Element* target,
                int64_t target_stride);

template <>
inline void pack_width<float>(const float* source, int64_t depth_stride, int64_t rows, int64_t depth,
                              float* target, int64_t target_stride) {
  const __mmask16 lanes = first_lanes(rows);
  for (int64_t p = 0; p < depth; ++p)
    _mm512_mask_storeu_ps(target + p * target_stride, lanes,
                          _mm512_maskz_loadu_ps(lanes, source + p * depth_stride));
}

template <>
inline void pack_width<uint32_t>(const float* source, int64_t depth_stride, int64_t rows, int64_t depth,
                                 uint32_t* target, int64_t target_stride) {
  const __mmask16 lanes = first_lanes(rows);
  const __m512i high_half = _mm512_set1_epi32(static_cast<int>(0xffff0000u));
  for (int64_t p = 0; p < depth; p += 2) {
    const float* even = source + p * depth_stride;
    // Rows lie pages apart, where no processor looks ahead by itself.
    _mm_prefetch(reinterpret_cast<const char*>(even + 24 * depth_stride), _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(even + 25 * depth_stride), _MM_HINT_T0);
    const __m512i low = _mm512_srli_epi32(round_to_bfloat16(_mm512_maskz_loadu_ps(lanes, even)), 16);
    const __mmask16 odd_lanes = p + 1 < depth ? lanes : 0;
    const __m512i high = round_to_bfloat16(_mm512_maskz_loadu_ps(odd_lanes, even + depth_stride));
    _mm512_mask_storeu_epi32(target + p / 2 * target_stride, lanes,
                             _mm512_or_si512(low, _mm512_and_si512(high, high_half)));
  }
}

}  // namespace
}  // namespace adjudge
