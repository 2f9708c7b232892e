#pragma once

#include <cstddef>

namespace adjudge::rl {

// target += rate · (online − target), in double; a rate of 1 copies exactly. On the engine's threads.
template <typename Float>
void polyak_average(double rate, const Float* online, Float* target, std::size_t count);

}  // namespace adjudge::rl
