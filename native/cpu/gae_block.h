// Blocks of tokens in the registers of the including file's instruction set, for GAE: f32 or f64 inside, f32
// in memory.
#pragma once
#include "native/cpu/native_vectors.h"

namespace adjudge {
namespace {

// Elements by, by + 1, ... of low followed by high.
template <int by, typename Block>
ADJUDGE_INLINE Block shifted(const Block& low, const Block& high) {
#if defined(__AVX512F__)
  if constexpr (sizeof(low[0]) == 4)
    return (Block)_mm512_alignr_epi32((__m512i)high, (__m512i)low, by);
  else
    return (Block)_mm512_alignr_epi64((__m512i)high, (__m512i)low, by);
#else
  if constexpr (sizeof(Block) / sizeof(low[0]) == 8)
    return __builtin_shufflevector(low, high, by, by + 1, by + 2, by + 3, by + 4, by + 5, by + 6, by + 7);
  else if constexpr (sizeof(Block) / sizeof(low[0]) == 4)
    return __builtin_shufflevector(low, high, by, by + 1, by + 2, by + 3);
  else
    return __builtin_shufflevector(low, high, by, by + 1);
#endif
}

// x[i] = x[i] + decay x[i+1] + decay^2 x[i+2] + ... within the block, by doubling steps.
template <typename Block>
ADJUDGE_INLINE Block suffix_sums(Block x, const Block (&powers)[4]) {
  constexpr int64_t lanes = sizeof(Block) / sizeof(x[0]);
  const Block zero = {};
  x = fused(powers[0], shifted<1>(x, zero), x);
  if constexpr (lanes > 2) x = fused(powers[1], shifted<2>(x, zero), x);
  if constexpr (lanes > 4) x = fused(powers[2], shifted<4>(x, zero), x);
  if constexpr (lanes > 8) x = fused(powers[3], shifted<8>(x, zero), x);
  return x;
}

ADJUDGE_INLINE void take(const float* from, Singles& block) { block = loaded<Singles>(from); }
ADJUDGE_INLINE void take(const float* from, Doubles& block) { block = widened(loaded<HalfSingles>(from)); }

// As what is written to memory.
ADJUDGE_INLINE Singles stored(const Singles& block) { return block; }
ADJUDGE_INLINE HalfSingles stored(const Doubles& block) { return narrowed(block); }

// `count` numbers, fewer than lanes, as a block's last ones; 0 before them.
ADJUDGE_INLINE void take_last(const float* from, int64_t count, Singles& block) {
#if defined(__AVX512F__)
  const auto own = static_cast<__mmask16>(0xffff << (single_lanes - count));
  block = (Singles)_mm512_maskz_loadu_ps(own, from + count - single_lanes);
#else
  block = Singles{};
  for (int64_t i = 0; i < count; ++i) block[single_lanes - count + i] = from[i];
#endif
}

ADJUDGE_INLINE void take_last(const float* from, int64_t count, Doubles& block) {
#if defined(__AVX512F__)
  const auto own = static_cast<__mmask8>(0xff << (double_lanes - count));
  block = widened((HalfSingles)_mm256_maskz_loadu_ps(own, from + count - double_lanes));
#else
  block = Doubles{};
  for (int64_t i = 0; i < count; ++i) block[double_lanes - count + i] = from[i];
#endif
}

ADJUDGE_INLINE void put_last(float* to, int64_t count, const Singles& block) {
#if defined(__AVX512F__)
  const auto own = static_cast<__mmask16>(0xffff << (single_lanes - count));
  _mm512_mask_storeu_ps(to + count - single_lanes, own, (__m512)block);
#else
  for (int64_t i = 0; i < count; ++i) to[i] = block[single_lanes - count + i];
#endif
}

ADJUDGE_INLINE void put_last(float* to, int64_t count, const Doubles& block) {
  const HalfSingles singles = narrowed(block);
#if defined(__AVX512F__)
  const auto own = static_cast<__mmask8>(0xff << (double_lanes - count));
  _mm256_mask_storeu_ps(to + count - double_lanes, own, (__m256)singles);
#else
  for (int64_t i = 0; i < count; ++i) to[i] = singles[double_lanes - count + i];
#endif
}

// Bytes of a mask that are 0: none, some, or all.
enum class Gaps { none, some, all };

template <int64_t lanes>
ADJUDGE_INLINE Gaps gaps_of(const uint8_t* mask) {
#if defined(__AVX512F__)
  static_assert(lanes == 8 || lanes == 16);
  const __m128i bytes = lanes == 16 ? loaded<__m128i>(mask) : _mm_set_epi64x(-1, loaded<int64_t>(mask));
  const auto counted = static_cast<uint32_t>(_mm_test_epi8_mask(bytes, bytes));
  return counted == 0xffff ? Gaps::none : counted == (lanes == 16 ? 0 : 0xff00) ? Gaps::all : Gaps::some;
#else
  constexpr int64_t bytes = lanes < 8 ? lanes : 8;
  constexpr uint64_t own = ~uint64_t{0} >> (64 - 8 * bytes);
  uint64_t zeros = 0, all = 0;
  for (int64_t i = 0; i < lanes; i += bytes) {
    uint64_t word = 0;
    std::memcpy(&word, mask + i, static_cast<size_t>(bytes));
    all |= word;
    // A byte that is 0 sets its highest bit, and may set that of the byte above.
    zeros |= (word - 0x0101010101010101) & ~word & 0x8080808080808080 & own;
  }
  return zeros == 0 ? Gaps::none : all == 0 ? Gaps::all : Gaps::some;
#endif
}

}  // namespace
}  // namespace adjudge
