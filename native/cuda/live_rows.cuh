// Rows that a kernel works on, of which only some may be there: those that an index names, as many as a
// number in device memory says, from a first one on.
#pragma once

#include "cuda/launch.h"

namespace adjudge::cuda {

struct LiveRows {
  std::int64_t first;
  std::int64_t most;                      // of this launch
  const std::int32_t* indices = nullptr;  // ascending; null: row `first + i` itself
  const std::int32_t* count = nullptr;    // of indices

  SIMT_DEVICE std::int64_t number() const {
    if (!count) return most;
    const std::int64_t left = *count - first;
    return left < 0 ? 0 : left < most ? left : most;
  }
  SIMT_DEVICE std::int64_t row(std::int64_t i) const { return indices ? indices[first + i] : first + i; }
};

}  // namespace adjudge::cuda
