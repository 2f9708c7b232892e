#pragma once

#include <cstddef>
#include <cstdint>

// Looks for NaN and infinity at the speed of memory: reads every value once (4 or 8 bytes), writes nothing.
namespace adjudge::rl {

// Index of the first counted value that is NaN or infinite; `count` where there is none. mask: [count], null:
// all count.
template <typename Float>
std::size_t first_not_finite(const Float* values, const std::uint8_t* mask, std::size_t count);

}  // namespace adjudge::rl
