// One block per row: its last counted token from the mask, then its KL and rewards. Reads 8 to 12 bytes a
// token and the mask twice, writes 4; about 10 f32 flops a token, 35 with k3. Sums are of rows, in f64 and in
// the rows' order.
#include "rl/kl_reward.h"

#include "cuda/launch.h"
#include "cuda/reduce.cuh"
#include "cuda/table.h"
#include "rules/kl_terms.h"
#include "rules/loss_constants.h"

namespace adjudge::cuda {
namespace {

using namespace rl;

struct KlPart {
  double sum, count;
};

SIMT_DEVICE float kl_at(const KlConstants& rule, const KlRewardBatch<float>& batch, std::int64_t t) {
  if (batch.kl) return batch.kl[t];
  if (!batch.log_probs) return 0;
  return kl_lanes<float>(rule, batch.log_probs[t], batch.reference_log_probs[t], batch.log_probs[t]).value;
}

SIMT_KERNEL kl_reward_row_kernel(KlConstants rule, float low, float high, KlRewardBatch<float> batch,
                                 float* results, KlPart* parts) {
  const std::int64_t row = simt::block();
  const std::int32_t begin = batch.cu_seqlens[row], end = batch.cu_seqlens[row + 1];
  std::int32_t last = batch.mask ? -1 : end - 1;
  if (batch.mask) {
    for (std::int32_t t = begin + simt::thread(); t < end; t += simt::threads()) {
      if (batch.mask[t]) last = t;
    }
    last = block_reduce(last, Larger{});
  }
  double sum = 0, count = 0;
  for (std::int32_t t = begin + simt::thread(); t < end; t += simt::threads()) {
    float result = 0;
    if (!batch.mask || batch.mask[t]) {
      const float kl = kl_at(rule, batch, t);
      result = (batch.token_rewards ? batch.token_rewards[t] : 0.0f) - rule.coefficient * kl;
      if (t == last && batch.rewards) result += minimum(maximum(batch.rewards[row], low), high);
      sum += kl;
      count += 1;
    }
    results[t] = result;
  }
  sum = block_sum(sum);
  count = block_sum(count);
  if (simt::thread() == 0) parts[row] = {sum, count};
}

SIMT_KERNEL kl_reward_finish_kernel(const KlPart* parts, std::int64_t rows, KlRewardMetrics* metrics) {
  double means = 0, sum = 0, count = 0;
  for (std::int64_t i = simt::thread(); i < rows; i += simt::threads()) {
    if (parts[i].count > 0) means += parts[i].sum / parts[i].count;
    sum += parts[i].sum;
    count += parts[i].count;
  }
  means = block_sum(means);
  sum = block_sum(sum);
  count = block_sum(count);
  if (simt::thread() != 0) return;
  metrics->kl = rows > 0 ? means / static_cast<double>(rows) : 0;
  metrics->kl_token = count > 0 ? sum / count : 0;
}

int kl_reward(const KlRewardRule& rule, const KlRewardBatch<float>& batch, std::int64_t tokens,
              float* results, KlRewardMetrics* metrics, Launch& launch) {
  const auto rows = static_cast<std::int64_t>(batch.rows);
  const std::int64_t mean = rows > 0 ? tokens / rows : 0;
  Enqueue enqueue(launch, mean <= 512 ? 64 : 256);
  auto* const parts = enqueue.take<KlPart>(rows);
  if (enqueue.stops()) return enqueue.status();
  enqueue(ADJUDGE_NAMED(kl_reward_row_kernel), rows, kl_constants(rule.kl), static_cast<float>(rule.clip_low),
          static_cast<float>(rule.clip_high), batch, results, parts);
  enqueue(ADJUDGE_NAMED(kl_reward_finish_kernel), 1, parts, rows, metrics);
  return enqueue.status();
}

}  // namespace

void add_kl_reward(Kernels& table) { table.kl_reward = kl_reward; }

}  // namespace adjudge::cuda
