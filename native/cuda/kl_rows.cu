// One block per row, three times over it (twice without gradients): log-sum-exps of both distributions, the
// divergence, the gradient. Reads 8 bytes an element from memory, and again from cache while a row fits;
// writes 4 with gradients. In f64, 5 exponentials an element.
#include "rl/kl_rows.h"

#include <cmath>

#include "cuda/launch.h"
#include "cuda/reduce.cuh"
#include "cuda/table.h"

namespace adjudge::cuda {
namespace {

using namespace rl;

SIMT_DEVICE double log_sum_exp(const float* row, std::int64_t width) {
  float highest = -INFINITY;
  for (std::int64_t k = simt::thread(); k < width; k += simt::threads())
    highest = row[k] > highest ? row[k] : highest;
  highest = block_reduce(highest, Larger{});
  double sum = 0;
  for (std::int64_t k = simt::thread(); k < width; k += simt::threads())
    sum += exp(static_cast<double>(row[k]) - highest);
  return highest + log(block_sum(sum));
}

SIMT_KERNEL kl_rows_kernel(bool reverse, KlRowsBatch<float> batch, float* values, float* gradients) {
  const std::int64_t row = simt::block();
  const auto width = static_cast<std::int64_t>(batch.width);
  float* const gradient = gradients ? gradients + row * width : nullptr;
  if (batch.mask && !batch.mask[row]) {
    if (simt::thread() == 0) values[row] = 0;
    for (std::int64_t k = simt::thread(); gradient && k < width; k += simt::threads()) gradient[k] = 0;
    return;
  }
  const float* const logits = batch.logits + row * width;
  const float* const reference = batch.reference_logits + row * width;
  const double policy_sum = log_sum_exp(logits, width);
  const double reference_sum = log_sum_exp(reference, width);
  // NaN where a row is no distribution.
  double value = simt::thread() == 0 ? 0 * policy_sum + 0 * reference_sum : 0;
  for (std::int64_t k = simt::thread(); k < width; k += simt::threads()) {
    const double log_p = logits[k] - policy_sum;
    const double log_q = reference[k] - reference_sum;
    const double weight = exp(reverse ? log_p : log_q);
    if (weight > 0) value += weight * (reverse ? log_p - log_q : log_q - log_p);
  }
  value = block_sum(value);
  if (simt::thread() == 0) values[row] = static_cast<float>(value);
  if (!gradient) return;
  for (std::int64_t k = simt::thread(); k < width; k += simt::threads()) {
    const double log_p = logits[k] - policy_sum;
    const double log_q = reference[k] - reference_sum;
    const double p = exp(log_p);
    const double slope = reverse ? (p > 0 ? p * (log_p - log_q - value) : 0) : p - exp(log_q);
    gradient[k] = static_cast<float>(slope);
  }
}

int kl_rows(KlDirection direction, const KlRowsBatch<float>& batch, float* values, float* gradients,
            Launch& launch) {
  Enqueue enqueue(launch, batch.width <= 512 ? 64 : 256);
  if (enqueue.stops()) return enqueue.status();
  enqueue(ADJUDGE_NAMED(kl_rows_kernel), static_cast<std::int64_t>(batch.rows),
          direction == KlDirection::reverse, batch, values, gradients);
  return enqueue.status();
}

}  // namespace

void add_kl_rows(Kernels& table) { table.kl_rows = kl_rows; }

}  // namespace adjudge::cuda
