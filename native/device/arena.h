// Memory of the device that is kept from one call to the next, so that a call does not wait for the driver's
// allocator.
#pragma once

#include <cstddef>
#include <vector>

#include "cuda/runtime.h"

namespace adjudge::device {

class Arena {
 public:
  // Kept between calls at most.
  static constexpr std::size_t kept_bytes = std::size_t{1} << 30;

  // Returns a status of the runtime. Aligned to 256 bytes; never null, also for 0 bytes.
  int take(const cuda::Runtime& runtime, std::size_t bytes, void** memory);

  // All memory is free again.
  void reset(const cuda::Runtime& runtime);

 private:
  struct Block {
    char* memory;
    std::size_t bytes;
    std::size_t used;
  };
  std::vector<Block> blocks_;
};

}  // namespace adjudge::device
