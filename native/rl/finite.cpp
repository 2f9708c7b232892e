#include "rl/finite.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "core/thread_pool.h"

namespace adjudge::rl {
namespace {

constexpr std::size_t block = 2048;
constexpr std::size_t chunk = std::size_t{1} << 18;

// An exponent of all ones means NaN or infinity. Integer arithmetic without a branch: the compiler makes
// vectors of it.
template <typename Float>
bool any_not_finite(const Float* values, std::size_t count) {
  using Bits = std::conditional_t<sizeof(Float) == 4, std::uint32_t, std::uint64_t>;
  constexpr Bits exponent =
      sizeof(Float) == 4 ? static_cast<Bits>(0x7f80'0000U) : static_cast<Bits>(0x7ff0'0000'0000'0000ULL);
  constexpr Bits one = exponent & (~exponent + 1);  // lowest bit of the exponent
  Bits carry = 0;
  // The sum reaches the sign bit only where the exponent is all ones.
  for (std::size_t i = 0; i < count; ++i) carry |= (std::bit_cast<Bits>(values[i]) & exponent) + one;
  return (carry & ~(~Bits{0} >> 1)) != 0;
}

template <typename Float>
std::size_t first_between(const Float* values, const std::uint8_t* mask, std::size_t begin, std::size_t end) {
  for (std::size_t at = begin; at < end; at += block) {
    const std::size_t stop = std::min(end, at + block);
    if (!any_not_finite(values + at, stop - at)) continue;
    for (std::size_t i = at; i < stop; ++i) {
      if (!std::isfinite(values[i]) && !(mask && mask[i] == 0)) return i;
    }
  }
  return end;
}

}  // namespace

template <typename Float>
std::size_t first_not_finite(const Float* values, const std::uint8_t* mask, std::size_t count) {
  if (count <= 2 * chunk) return first_between(values, mask, 0, count);
  std::atomic<std::size_t> first{count};
  const std::size_t chunks = (count + chunk - 1) / chunk;
  parallel_for(static_cast<std::int64_t>(chunks), [&](std::int64_t item, int) {
    const std::size_t begin = static_cast<std::size_t>(item) * chunk;
    const std::size_t end = std::min(count, begin + chunk);
    if (begin >= first.load(std::memory_order_relaxed)) return;
    const std::size_t found = first_between(values, mask, begin, end);
    if (found == end) return;
    std::size_t known = first.load();
    while (found < known && !first.compare_exchange_weak(known, found)) {
    }
  });
  return first;
}

template std::size_t first_not_finite(const float*, const std::uint8_t*, std::size_t);
template std::size_t first_not_finite(const double*, const std::uint8_t*, std::size_t);

}  // namespace adjudge::rl
