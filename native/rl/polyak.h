#pragma once

#include <algorithm>
#include <cstddef>

namespace adjudge::rl {

// target += rate · (online − target), in double; a rate of 1 copies exactly.
template <typename Float>
void polyak_average(double rate, const Float* online, Float* target, std::size_t count) {
  if (rate == 1) {
    std::copy_n(online, count, target);
    return;
  }
  for (std::size_t i = 0; i < count; ++i) {
    const double old = target[i];
    target[i] = static_cast<Float>(old + rate * (static_cast<double>(online[i]) - old));
  }
}

}  // namespace adjudge::rl
