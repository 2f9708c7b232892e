#include "reference/mismatch.h"
#include "reference/off_policy.h"

namespace adjudge::reference {
namespace {

bool of_row(WeightGate gate, WeightLevel level) {
  switch (gate) {
    case WeightGate::weight:
      return level == WeightLevel::sequence;
    case WeightGate::geometric_mean:
    case WeightGate::binary_kl_mean:
    case WeightGate::total_variation_mean:
      return true;
    case WeightGate::binary_kl:
    case WeightGate::total_variation:
      return false;
  }
  return false;
}

template <typename Float>
double divergence(WeightGate gate, const RolloutBatch<Float>& batch, std::int32_t t) {
  const double rollout = batch.rollout_log_probs[t];
  if (std::isnan(rollout)) return 0;
  const Coins coins = coins_of(batch.log_probs[t], rollout);
  const bool kl = gate == WeightGate::binary_kl || gate == WeightGate::binary_kl_mean;
  return kl ? coin_kl(coins.p, coins.q) : std::abs(coins.p - coins.q);
}

template <typename Float>
class Weighing {
 public:
  Weighing(const WeightRule& rule, const RolloutBatch<Float>& batch)
      : rule_(rule), batch_(batch), tokens_(static_cast<std::size_t>(batch.cu_seqlens[batch.rows])) {}

  WeightMetrics run(Float* weights, Float* sequences) {
    for (std::size_t i = 0; i < batch_.rows; ++i) row(i);
    finish();
    normalize();
    std::copy(tokens_.begin(), tokens_.end(), weights);
    if (sequences) std::copy(sequences_.begin(), sequences_.end(), sequences);
    return metrics_;
  }

 private:
  bool sequence() const { return rule_.level == WeightLevel::sequence; }
  // Where no lower end is given, a weight counts as low below 1 / high.
  double low_mark() const {
    return rule_.gate == WeightGate::weight && std::isinf(rule_.low) ? 1 / rule_.high : rule_.low;
  }
  bool outside(double statistic) const { return statistic < rule_.low || statistic > rule_.high; }

  double banded(double weight, double statistic) const {
    if (rule_.outside == OutsideBand::zero) return outside(statistic) ? 0 : weight;
    return std::min(std::max(weight, rule_.low), rule_.high);
  }

  double row_statistic(std::size_t i, double log_sum, double raw) const {
    if (rule_.gate == WeightGate::weight) return raw;
    Mean mean;
    for (std::int32_t t = batch_.cu_seqlens[i]; t < batch_.cu_seqlens[i + 1]; ++t) {
      if (!counts(batch_, t)) continue;
      mean.add(rule_.gate == WeightGate::geometric_mean ? 0 : divergence(rule_.gate, batch_, t));
    }
    if (rule_.gate != WeightGate::geometric_mean) return mean.value(rule_.count_epsilon);
    return mean.count() > 0 ? std::exp(log_sum / (mean.count() + rule_.count_epsilon)) : 1;
  }

  void row(std::size_t i) {
    double log_sum = 0;
    for (std::int32_t t = batch_.cu_seqlens[i]; t < batch_.cu_seqlens[i + 1]; ++t) {
      if (counts(batch_, t)) log_sum += log_ratio(batch_, t);
    }
    const bool row_gate = of_row(rule_.gate, rule_.level);
    const double row_raw = std::exp(within(log_sum, rule_.log_ratio_limit));
    const double row_gated = row_gate ? row_statistic(i, log_sum, row_raw) : 0;
    if (row_gate) count_unit(row_gated);
    if (sequence()) {
      const double applied = banded(row_raw, row_gate ? row_gated : row_raw);
      sequences_.push_back(applied);
      log_sums_.push_back(log_sum);
    }
    Mean applied_mean, raw_mean;
    for (std::int32_t t = batch_.cu_seqlens[i]; t < batch_.cu_seqlens[i + 1]; ++t) {
      if (!counts(batch_, t)) continue;
      const double own = std::exp(within(log_ratio(batch_, t), rule_.log_ratio_limit));
      const double raw = sequence() ? row_raw : own;
      double statistic = row_gated;
      if (!row_gate) {
        statistic = rule_.gate == WeightGate::weight ? own : divergence(rule_.gate, batch_, t);
        count_unit(statistic);
      }
      const double applied = banded(raw, statistic);
      tokens_[static_cast<std::size_t>(t)] = applied;
      outside_tokens_.add(outside(statistic) ? 1 : 0);
      applied_mean.add(applied);
      raw_mean.add(raw);
      count_token(applied);
    }
    row_means_.push_back(applied_mean.value(rule_.count_epsilon));
    row_raw_means_.push_back(raw_mean.value(rule_.count_epsilon));
    if (applied_mean.count() > 0) scored_rows_.add(row_means_.back());
  }

  void count_unit(double statistic) {
    high_.add(statistic > rule_.high ? 1 : 0);
    low_.add(statistic < low_mark() ? 1 : 0);
    outside_.add(outside(statistic) ? 1 : 0);
  }

  void count_token(double applied) {
    minimum_ = std::min(minimum_, applied);
    maximum_ = std::max(maximum_, applied);
    const double cut = std::min(std::max(applied, 0.0), rule_.high);
    applied_.add(applied);
    cut_.add(cut);
    cut_squares_.add(cut * cut);
  }

  void finish() {
    WeightMetrics& metrics = metrics_;
    const double epsilon = rule_.count_epsilon;
    const bool row_gate = of_row(rule_.gate, rule_.level);
    metrics.token_mean = applied_.value(epsilon);
    metrics.mean = metrics.token_mean;
    if (applied_.count() > 0) {
      metrics.minimum = metrics.raw_minimum = minimum_;
      metrics.maximum = metrics.raw_maximum = maximum_;
    }
    if (sequence()) {
      const Summary applied = summary_of(sequences_);
      metrics.minimum = applied.minimum;
      metrics.mean = applied.mean;
      metrics.maximum = applied.maximum;
      const Summary logs = summary_of(log_sums_);
      metrics.raw_minimum = std::exp(logs.minimum);
      metrics.raw_maximum = std::exp(std::min(logs.maximum, rule_.log_ratio_limit));
    }
    // A share of rows counts all rows as they are.
    const double unit_epsilon = row_gate ? 0 : epsilon;
    metrics.fraction_high = high_.value(unit_epsilon);
    metrics.fraction_low = low_.value(unit_epsilon);
    metrics.outside = outside_.value(unit_epsilon);
    metrics.outside_tokens = outside_tokens_.value(epsilon);
    const double cut_mean = cut_.value(epsilon);
    const double square_mean = cut_squares_.value(epsilon);
    if (applied_.count() > 1) metrics.deviation = std::sqrt(std::max(square_mean - cut_mean * cut_mean, 0.0));
    if (square_mean > 0) metrics.effective_sample_size = std::pow(cut_mean + epsilon, 2) / square_mean;
    const Summary rows = summary_of(row_means_);
    metrics.sequence_mean = rows.mean;
    metrics.sequence_deviation = rows.deviation;
    metrics.sequence_maximum = rows.maximum;
    metrics.sequence_minimum = rows.minimum;
    Mean high, low;
    for (std::size_t i = 0; i < batch_.rows; ++i) {
      metrics.sequence_max_deviation = std::max(metrics.sequence_max_deviation, std::abs(row_means_[i] - 1));
      high.add(row_raw_means_[i] > rule_.high ? 1 : 0);
      low.add(row_raw_means_[i] < low_mark() ? 1 : 0);
    }
    if (rule_.gate == WeightGate::weight) {
      metrics.sequence_fraction_high = high.value();
      metrics.sequence_fraction_low = low.value();
    }
  }

  void normalize() {
    if (!rule_.normalize) return;
    const double mean = sequence() ? scored_rows_.value() : metrics_.token_mean;
    if (!(mean > 1e-8)) return;
    metrics_.normalizer = mean;
    for (double& weight : tokens_) weight /= mean;
    for (double& weight : sequences_) weight /= mean;
  }

  const WeightRule& rule_;
  const RolloutBatch<Float>& batch_;
  std::vector<double> tokens_, sequences_;
  WeightMetrics metrics_;
  std::vector<double> log_sums_, row_means_, row_raw_means_;
  Mean applied_, cut_, cut_squares_, high_, low_, outside_, outside_tokens_, scored_rows_;
  double minimum_ = std::numeric_limits<double>::infinity();
  double maximum_ = -std::numeric_limits<double>::infinity();
};

}  // namespace

template <typename Float>
WeightMetrics importance_weights(const WeightRule& rule, const RolloutBatch<Float>& batch, Float* weights,
                                 Float* sequences) {
  return Weighing<Float>(rule, batch).run(weights, sequences);
}

template WeightMetrics importance_weights(const WeightRule&, const RolloutBatch<float>&, float*, float*);
template WeightMetrics importance_weights(const WeightRule&, const RolloutBatch<double>&, double*, double*);

}  // namespace adjudge::reference
