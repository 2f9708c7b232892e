// f32 to pairs of bfloat16: word = bits of the even depth | bits of the odd depth << 16, rounded to nearest
// even as native/core/half.h defines it. Static, for the same reason as vector8.h: it is compiled once per
// instruction set. Written so that the compiler can vectorise it: no branches, one word per step.
#pragma once
#include <cstdint>
#include <cstring>

namespace adjudge {
namespace {

inline __attribute__((always_inline)) uint32_t bfloat16_bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const uint32_t quiet = (bits >> 16) | 0x40u;  // a NaN stays one
  return (bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded;
}

// words[i] pairs even[i] with odd[i]; odd null: with zeros.
void pair_rows(const float* even, const float* odd, int64_t count, uint32_t* words) {
  if (odd == nullptr) {
    for (int64_t i = 0; i < count; ++i) words[i] = bfloat16_bits(even[i]);
    return;
  }
  for (int64_t i = 0; i < count; ++i) words[i] = bfloat16_bits(even[i]) | bfloat16_bits(odd[i]) << 16;
}

// words[p] pairs source[2p] with source[2p + 1]; an odd last one with zero.
void pair_depth(const float* source, int64_t depth, uint32_t* words) {
  const int64_t whole = depth / 2;
  for (int64_t p = 0; p < whole; ++p)
    words[p] = bfloat16_bits(source[2 * p]) | bfloat16_bits(source[2 * p + 1]) << 16;
  if (depth % 2) words[whole] = bfloat16_bits(source[depth - 1]);
}

}  // namespace
}  // namespace adjudge
