#include "reference/mismatch.h"
#include "reference/off_policy.h"

namespace adjudge::reference {
namespace {

constexpr double log_limit = 20;  // of a ratio that is squared

}  // namespace

template <typename Float>
MismatchMetrics mismatch_metrics(const RolloutBatch<Float>& batch) {
  MismatchMetrics metrics;
  Mean kl, k3, squares, difference;
  Mean training, rollout, training_log, rollout_log, absolute, ratio, sequence_squares;
  std::vector<double> log_differences;
  for (std::size_t i = 0; i < batch.rows; ++i) {
    Mean row_training, row_rollout;
    double log_sum = 0;
    for (std::int32_t t = batch.cu_seqlens[i]; t < batch.cu_seqlens[i + 1]; ++t) {
      if (!counts(batch, t)) continue;
      if (std::isnan(batch.rollout_log_probs[t])) {
        metrics.missing += 1;
        continue;
      }
      const double d = log_ratio(batch, t);
      log_sum += d;
      row_training.add(batch.log_probs[t]);
      row_rollout.add(batch.rollout_log_probs[t]);
      kl.add(-d);
      k3.add(std::expm1(d) - d);
      squares.add(std::exp(2 * within(d, log_limit)));
      difference.add(std::abs(d));
      metrics.difference_maximum = std::max(metrics.difference_maximum, std::abs(d));
    }
    const double log_difference = row_rollout.value() - row_training.value();
    log_differences.push_back(log_difference);
    training.add(std::exp(-row_training.value()));
    training_log.add(-row_training.value());
    rollout.add(std::exp(-row_rollout.value()));
    rollout_log.add(-row_rollout.value());
    absolute.add(std::abs(log_difference));
    ratio.add(std::exp(log_difference));
    sequence_squares.add(std::exp(2 * within(log_sum, log_limit)));
  }
  if (batch.rows == 0) return metrics;
  const Summary differences = summary_of(log_differences);
  metrics.training_perplexity = training.value();
  metrics.training_log_perplexity = training_log.value();
  metrics.rollout_perplexity = rollout.value();
  metrics.rollout_log_perplexity = rollout_log.value();
  metrics.kl = kl.value();
  metrics.k3 = k3.value();
  metrics.log_perplexity_difference = differences.mean;
  metrics.log_perplexity_absolute_difference = absolute.value();
  metrics.log_perplexity_difference_maximum = differences.maximum;
  metrics.log_perplexity_difference_minimum = differences.minimum;
  metrics.perplexity_ratio = ratio.value();
  if (squares.count() > 0) metrics.chi2_token = squares.value() - 1;
  metrics.chi2_sequence = sequence_squares.value() - 1;
  metrics.difference_mean = difference.value();
  return metrics;
}

template MismatchMetrics mismatch_metrics(const RolloutBatch<float>&);
template MismatchMetrics mismatch_metrics(const RolloutBatch<double>&);

}  // namespace adjudge::reference
