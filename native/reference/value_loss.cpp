#include "reference/value_loss.h"

#include <cmath>
#include <limits>

#include "rules/value_terms.h"

namespace adjudge::reference {
namespace {

using namespace rl;

// Mean and sum of squared deviations, updated one value at a time (Welford 1962).
struct RunningSpread {
  double count = 0;
  double mean = 0;
  double squares = 0;

  void add(double value) {
    count += 1;
    const double difference = value - mean;
    mean += difference / count;
    squares += difference * (value - mean);
  }
};

}  // namespace

template <typename Float>
ValueLossResult value_loss(const ValueRule& rule, const ValueBatch<Float>& batch, Float* gradients) {
  const auto counted = [&](std::int32_t t) { return !batch.mask || batch.mask[t]; };
  const auto row_tokens = [&](std::size_t i) {
    double n = 0;
    for (std::int32_t t = batch.cu_seqlens[i]; t < batch.cu_seqlens[i + 1]; ++t) n += counted(t) ? 1 : 0;
    return n;
  };
  ValueLossResult result;
  ValueMetrics& metrics = result.metrics;
  for (std::size_t i = 0; i < batch.rows; ++i) {
    const double n = row_tokens(i);
    metrics.tokens += n;
    metrics.sequences += n > 0 || rule.aggregation.count_empty_rows ? 1 : 0;
  }
  const Counts counts{batch.batch_tokens >= 0 ? batch.batch_tokens : metrics.tokens,
                      batch.batch_sequences >= 0 ? batch.batch_sequences : metrics.sequences};
  const bool clip = batch.old_values && std::isfinite(rule.clip);
  double clipped = 0;
  double squares = 0;
  RunningSpread returns, differences;
  double values = 0;
  for (std::size_t i = 0; i < batch.rows; ++i) {
    const double weight = rule.coefficient * row_weight(rule.aggregation, counts, row_tokens(i));
    double row_loss = 0;
    for (std::int32_t t = batch.cu_seqlens[i]; t < batch.cu_seqlens[i + 1]; ++t) {
      gradients[t] = 0;
      if (!counted(t)) continue;
      const double value = batch.values[t];
      const double target = batch.returns[t];
      const double free = value - target;
      const ValueError<double> error =
          clip ? clipped_value_error<double>(value, batch.old_values[t], target, rule.clip)
               : free_value_error(value, target);
      row_loss += error.square;
      gradients[t] = static_cast<Float>(weight * error.slope);
      clipped += error.clipped ? 1 : 0;
      squares += free * free;
      values += value;
      returns.add(target);
      differences.add(free);
    }
    result.loss += weight * row_loss;
  }
  const double share = inverse(metrics.tokens);
  metrics.clip_fraction = clipped * share;
  metrics.value = values * share;
  metrics.value_error = squares * share;
  metrics.returns = returns.mean;
  metrics.explained_variance = returns.squares > 0 ? 1 - differences.squares / returns.squares
                                                   : std::numeric_limits<double>::quiet_NaN();
  return result;
}

template ValueLossResult value_loss(const ValueRule&, const ValueBatch<float>&, float*);
template ValueLossResult value_loss(const ValueRule&, const ValueBatch<double>&, double*);

}  // namespace adjudge::reference
