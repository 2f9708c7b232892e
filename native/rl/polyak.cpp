#include "rl/polyak.h"

#include <algorithm>

#include "core/thread_pool.h"
#include "cpu/q_kernels.h"

namespace adjudge::rl {
namespace {

constexpr std::size_t per_item = std::size_t{1} << 17;

void average(double rate, const float* online, float* target, std::size_t count) {
  q_kernels().polyak_average(rate, online, target, static_cast<std::int64_t>(count));
}

void average(double rate, const double* online, double* target, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) target[i] += rate * (online[i] - target[i]);
}

}  // namespace

template <typename Float>
void polyak_average(double rate, const Float* online, Float* target, std::size_t count) {
  const auto part = [&](std::int64_t item, int) {
    const std::size_t first = static_cast<std::size_t>(item) * per_item;
    const std::size_t size = std::min(per_item, count - first);
    if (rate == 1)
      std::copy_n(online + first, size, target + first);
    else
      average(rate, online + first, target + first, size);
  };
  if (count <= per_item) return part(0, 0);
  parallel_for(static_cast<std::int64_t>((count + per_item - 1) / per_item), part);
}

template void polyak_average(double, const float*, float*, std::size_t);
template void polyak_average(double, const double*, double*, std::size_t);

}  // namespace adjudge::rl
