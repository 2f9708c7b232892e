// One block per row, twice: its counted tokens, then its errors and gradients. Reads 8 bytes a token (12 with
// a clip, and the mask twice), writes 4; about 20 f64 flops a token. Sums are of rows, in the rows' order.
#include "rl/value_loss.h"

#include <cmath>

#include "cuda/launch.h"
#include "cuda/spread.cuh"
#include "cuda/table.h"
#include "rules/value_terms.h"

namespace adjudge::cuda {
namespace {

using namespace rl;

// Of a row, or of the batch.
struct ValuePart {
  double loss, clipped, values;
  Moments returns, differences;
  double squares;  // of value - return
};

SIMT_DEVICE bool counts(const ValueBatch<float>& batch, std::int64_t token) {
  return !batch.mask || batch.mask[token];
}

SIMT_KERNEL value_count_kernel(ValueBatch<float> batch, double* row_tokens) {
  const std::int64_t row = simt::block();
  double count = 0;
  for (std::int64_t t = batch.cu_seqlens[row] + simt::thread(); t < batch.cu_seqlens[row + 1];
       t += simt::threads())
    count += counts(batch, t) ? 1 : 0;
  count = block_sum(count);
  if (simt::thread() == 0) row_tokens[row] = count;
}

SIMT_KERNEL value_total_kernel(bool count_empty_rows, const double* row_tokens, std::int64_t rows,
                               Counts* totals) {
  double tokens = 0, sequences = 0;
  for (std::int64_t i = simt::thread(); i < rows; i += simt::threads()) {
    tokens += row_tokens[i];
    sequences += row_tokens[i] > 0 || count_empty_rows ? 1 : 0;
  }
  tokens = block_sum(tokens);
  sequences = block_sum(sequences);
  if (simt::thread() != 0) return;
  totals->tokens = tokens;
  totals->sequences = sequences;
}

SIMT_KERNEL value_row_kernel(ValueRule rule, ValueBatch<float> batch, const double* row_tokens,
                             const Counts* totals, float* gradients, ValuePart* parts) {
  const std::int64_t row = simt::block();
  Counts whole = *totals;
  if (batch.batch_tokens >= 0) whole.tokens = batch.batch_tokens;
  if (batch.batch_sequences >= 0) whole.sequences = batch.batch_sequences;
  const double weight = rule.coefficient * row_weight(rule.aggregation, whole, row_tokens[row]);
  const bool clip = batch.old_values && rule.clip < INFINITY;
  double loss = 0, clipped = 0, values = 0, squares = 0;
  MomentsOfThread returns{}, differences{};
  for (std::int64_t t = batch.cu_seqlens[row] + simt::thread(); t < batch.cu_seqlens[row + 1];
       t += simt::threads()) {
    if (!counts(batch, t)) {
      gradients[t] = 0;
      continue;
    }
    const double value = batch.values[t];
    const double target = batch.returns[t];
    const double free = value - target;
    const ValueError<double> error =
        clip ? clipped_value_error<double>(value, batch.old_values[t], target, rule.clip)
             : free_value_error(value, target);
    gradients[t] = static_cast<float>(weight * error.slope);
    loss += error.square;
    clipped += error.clipped ? 1 : 0;
    values += value;
    squares += free * free;
    returns.add(target);
    differences.add(free);
  }
  loss = block_sum(loss);
  clipped = block_sum(clipped);
  values = block_sum(values);
  squares = block_sum(squares);
  const Moments row_returns = block_moments(returns.result());
  const Moments row_differences = block_moments(differences.result());
  if (simt::thread() == 0)
    parts[row] = {weight * loss, clipped, values, row_returns, row_differences, squares};
}

SIMT_KERNEL value_finish_kernel(const ValuePart* parts, std::int64_t rows, const Counts* totals,
                                ValueLossResult* result) {
  double loss = 0, clipped = 0, values = 0, squares = 0;
  Moments returns = no_moments(), differences = no_moments();
  for (std::int64_t i = simt::thread(); i < rows; i += simt::threads()) {
    loss += parts[i].loss;
    clipped += parts[i].clipped;
    values += parts[i].values;
    squares += parts[i].squares;
    returns = merged(returns, parts[i].returns);
    differences = merged(differences, parts[i].differences);
  }
  loss = block_sum(loss);
  clipped = block_sum(clipped);
  values = block_sum(values);
  squares = block_sum(squares);
  returns = block_moments(returns);
  differences = block_moments(differences);
  if (simt::thread() != 0) return;
  const double share = inverse(totals->tokens);
  result->loss = loss;
  result->metrics.tokens = totals->tokens;
  result->metrics.sequences = totals->sequences;
  result->metrics.clip_fraction = clipped * share;
  result->metrics.value = values * share;
  result->metrics.value_error = squares * share;
  result->metrics.returns = returns.mean;
  result->metrics.explained_variance =
      returns.squares > 0 ? 1 - differences.squares / returns.squares : static_cast<double>(NAN);
}

int value_loss(const ValueRule& rule, const ValueBatch<float>& batch, std::int64_t tokens, float* gradients,
               ValueLossResult* value, Launch& launch) {
  const auto rows = static_cast<std::int64_t>(batch.rows);
  const std::int64_t mean = rows > 0 ? tokens / rows : 0;
  Enqueue enqueue(launch, mean <= 512 ? 64 : 256);
  auto* const row_tokens = enqueue.take<double>(rows);
  auto* const totals = enqueue.take<Counts>(1);
  auto* const parts = enqueue.take<ValuePart>(rows);
  if (enqueue.stops()) return enqueue.status();
  enqueue(ADJUDGE_NAMED(value_count_kernel), rows, batch, row_tokens);
  enqueue(ADJUDGE_NAMED(value_total_kernel), 1, rule.aggregation.count_empty_rows, row_tokens, rows, totals);
  enqueue(ADJUDGE_NAMED(value_row_kernel), rows, rule, batch, row_tokens, totals, gradients, parts);
  enqueue(ADJUDGE_NAMED(value_finish_kernel), 1, parts, rows, totals, value);
  return enqueue.status();
}

}  // namespace

void add_value_loss(Kernels& table) { table.value_loss = value_loss; }

}  // namespace adjudge::cuda
