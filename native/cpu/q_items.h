// Work items of Q-learning's kernels: ranges of steps that hold about as many numbers of Q.
#pragma once
#include <algorithm>

#include "native/core/thread_pool.h"
#include "native/cpu/q_kernels.h"

namespace adjudge {

struct QItems {
  int64_t steps;
  int64_t size;
  int64_t count;

  // width: numbers of one step.
  QItems(std::size_t total, std::size_t width)
      : steps(static_cast<int64_t>(total)),
        size(
            std::max<int64_t>(1, q_numbers_per_item / static_cast<int64_t>(std::max<std::size_t>(1, width)))),
        count((steps + size - 1) / size) {}

  // body(item, first, end)
  template <typename Body>
  void run(Body&& body) const {
    const auto one = [&](int64_t item, int) { body(item, item * size, std::min(steps, (item + 1) * size)); };
    if (count == 1)
      one(0, 0);
    else if (count > 1)
      parallel_for(count, one);
  }
};

}  // namespace adjudge
