// target += rate x (online - target), in f64. Four parameters a thread, in 16 bytes where both arrays are
// aligned: reads 8 bytes a parameter, writes 4.
#include "cuda/launch.h"
#include "cuda/table.h"

namespace adjudge::cuda {
namespace {

constexpr std::int64_t per_thread = 4;

SIMT_DEVICE float moved(double rate, float online, float target) {
  if (rate == 1) return online;
  const double old = target;
  return static_cast<float>(old + rate * (static_cast<double>(online) - old));
}

SIMT_KERNEL polyak_kernel(double rate, const float* online, float* target, std::int64_t count) {
  const std::int64_t first = (simt::block() * simt::threads() + simt::thread()) * per_thread;
  const bool aligned = reinterpret_cast<std::uintptr_t>(online) % 16 == 0 &&
                       reinterpret_cast<std::uintptr_t>(target) % 16 == 0;
  if (aligned && first + per_thread <= count) {
    const auto from = *reinterpret_cast<const simt::Float4*>(online + first);
    auto to = *reinterpret_cast<const simt::Float4*>(target + first);
    for (int k = 0; k < per_thread; ++k) to.at[k] = moved(rate, from.at[k], to.at[k]);
    *reinterpret_cast<simt::Float4*>(target + first) = to;
    return;
  }
  for (std::int64_t i = first; i < first + per_thread && i < count; ++i)
    target[i] = moved(rate, online[i], target[i]);
}

int polyak_average(double rate, const float* online, float* target, std::int64_t count, Launch& launch) {
  Enqueue enqueue(launch, 256);
  if (enqueue.stops()) return enqueue.status();
  enqueue(ADJUDGE_NAMED(polyak_kernel), blocks_of(count, enqueue.threads() * per_thread), rate, online,
          target, count);
  return enqueue.status();
}

}  // namespace

void add_polyak(Kernels& table) { table.polyak_average = polyak_average; }

}  // namespace adjudge::cuda
