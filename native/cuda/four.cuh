// Four tokens of an array that lie in 16 aligned bytes, read and written at once where they all belong to the
// row.
#pragma once

#include "cuda/simt.h"

namespace adjudge::cuda {

constexpr int per_thread = 4;

struct Four {
  float at[per_thread];
};

SIMT_DEVICE bool aligned(const float* array) { return reinterpret_cast<std::uintptr_t>(array) % 16 == 0; }

// Tokens outside [begin, end) are 0.
SIMT_DEVICE Four read(const float* array, std::int64_t first, std::int64_t begin, std::int64_t end) {
  Four four{};
  if (first >= begin && first + per_thread <= end && aligned(array + first)) {
    const auto whole = *reinterpret_cast<const simt::Float4*>(array + first);
    for (int k = 0; k < per_thread; ++k) four.at[k] = whole.at[k];
    return four;
  }
  for (int k = 0; k < per_thread; ++k) {
    if (first + k >= begin && first + k < end) four.at[k] = array[first + k];
  }
  return four;
}

SIMT_DEVICE void write(float* array, std::int64_t first, std::int64_t begin, std::int64_t end,
                       const Four& four) {
  if (first >= begin && first + per_thread <= end && aligned(array + first)) {
    simt::Float4 whole;
    for (int k = 0; k < per_thread; ++k) whole.at[k] = four.at[k];
    *reinterpret_cast<simt::Float4*>(array + first) = whole;
    return;
  }
  for (int k = 0; k < per_thread; ++k) {
    if (first + k >= begin && first + k < end) array[first + k] = four.at[k];
  }
}

}  // namespace adjudge::cuda
