// One block per row, from its end. A thread holds four tokens that lie in 16 aligned bytes and turns them
// into one affine map of what enters from the right; maps are scanned over the block, tile by tile. Reads 8
// bytes a token (and its mask), writes 8 (4 without returns); about 12 f64 flops a token besides the scan.
#include "cuda/gae.cuh"

#include "cuda/four.cuh"
#include "cuda/scan.cuh"
#include "cuda/table.h"

namespace adjudge::cuda {
namespace {

struct Coefficients {
  double gamma;
  double decay;  // gamma x lambda
  bool skip_masked;
};

SIMT_KERNEL gae_kernel(Coefficients rule, GaeRows rows, float* advantages, float* returns) {
  const std::int64_t row = simt::block();
  const std::int64_t begin = rows.cu_seqlens[row];
  const std::int64_t end = rows.cu_seqlens[row + 1];
  const std::int64_t tile = std::int64_t{per_thread} * simt::threads();
  const bool absent = rows.row_mask && !rows.row_mask[row];
  const float bootstrap = rows.bootstrap_values && !absent ? rows.bootstrap_values[row] : 0.0f;
  double carry = 0;
  float carried_value = bootstrap;
  // Tiles begin at multiples of four tokens, whatever the row.
  const std::int64_t origin = begin / per_thread * per_thread;
  for (std::int64_t i = (end - origin + tile - 1) / tile - 1; i >= 0; --i) {
    const std::int64_t first = origin + i * tile + std::int64_t{per_thread} * simt::thread();
    Four reward{}, value{};
    bool counted[per_thread];
    bool inside[per_thread];
    bool any = false;
    float leading = 0;
    if (!absent) {
      reward = read(rows.rewards, first, begin, end);
      if (rows.values) value = read(rows.values, first, begin, end);
    }
    for (int k = per_thread - 1; k >= 0; --k) {
      inside[k] = first + k >= begin && first + k < end;
      counted[k] = inside[k] && !absent && (!rows.mask || rows.mask[first + k]);
      if (!counted[k]) reward.at[k] = value.at[k] = 0;
      const bool step = rule.skip_masked ? counted[k] : inside[k];
      any = any || step;
      if (step) leading = value.at[k];
    }
    // The value after the thread's last token: of the next step in the row.
    const float after_last = nearest_from_right(leading, any, carried_value);
    Affine map = unchanged();
    double next = after_last;
    for (int k = per_thread - 1; k >= 0; --k) {
      if (!inside[k] || (rule.skip_masked && !counted[k])) continue;
      const double delta = reward.at[k] + (rule.gamma * next - value.at[k]);
      map = after({delta, rule.decay}, map);
      next = value.at[k];
    }
    double running = scan_from_right(map, carry);
    Four result{}, target{};
    next = after_last;
    for (int k = per_thread - 1; k >= 0; --k) {
      if (!inside[k] || (rule.skip_masked && !counted[k])) continue;
      running = reward.at[k] + (rule.gamma * next - value.at[k]) + rule.decay * running;
      next = value.at[k];
      if (!counted[k]) continue;
      result.at[k] = static_cast<float>(running);
      target.at[k] = static_cast<float>(running + value.at[k]);
    }
    write(advantages, first, begin, end, result);
    if (returns) write(returns, first, begin, end, target);
  }
}

int gae(const rl::GaeRule& rule, const rl::GaeBatch<float>& batch, std::int64_t tokens, float* advantages,
        float* returns, Launch& launch) {
  Enqueue enqueue(launch, gae_threads(tokens, static_cast<std::int64_t>(batch.rows)));
  if (enqueue.stops()) return enqueue.status();
  const GaeRows rows{
      batch.rewards, batch.values, batch.cu_seqlens,      static_cast<std::int64_t>(batch.rows),
      batch.mask,    nullptr,      batch.bootstrap_values};
  enqueue_gae(enqueue, enqueue.threads(), rule, rows, advantages, returns);
  return enqueue.status();
}

}  // namespace

int gae_threads(std::int64_t tokens, std::int64_t rows) {
  const std::int64_t mean = rows > 0 ? tokens / rows : 0;
  return mean <= 512 ? 32 : mean <= 2048 ? 128 : 256;
}

void enqueue_gae(Enqueue& enqueue, int threads, const rl::GaeRule& rule, const GaeRows& rows,
                 float* advantages, float* returns) {
  const Coefficients coefficients{rule.gamma, rule.gamma * rule.lambda, rule.skip_masked};
  enqueue.with(ADJUDGE_NAMED(gae_kernel), {rows.rows, threads, 0}, coefficients, rows, advantages, returns);
}

void add_gae(Kernels& table) { table.gae = gae; }

}  // namespace adjudge::cuda
