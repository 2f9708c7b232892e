#include "reference/mismatch.h"
#include "reference/off_policy.h"

namespace adjudge::reference {
namespace {

constexpr double infinite = std::numeric_limits<double>::infinity();

template <typename Float>
class Judgement {
 public:
  Judgement(const Criterion& criterion, const RejectionRule& rule, const RolloutBatch<Float>& batch)
      : criterion_(criterion), rule_(rule), batch_(batch) {
    const bool ratio = criterion.statistic == RejectionStatistic::ratio;
    low_ = ratio && criterion.low > -infinite ? std::log(criterion.low) : criterion.low;
    high_ = ratio ? std::log(criterion.high) : criterion.high;
  }

  // Takes rejected tokens out of `kept` and rows out of `keep`.
  CriterionMetrics apply(std::uint8_t* kept, std::uint8_t* keep) {
    for (std::size_t i = 0; i < batch_.rows; ++i) row(i, kept, keep);
    return finish();
  }

 private:
  bool by_token() const { return criterion_.level == RejectionLevel::token; }

  double token_statistic(std::int32_t t) const {
    const double d = within(log_ratio(batch_, t), rule_.log_ratio_limit);
    switch (criterion_.statistic) {
      case RejectionStatistic::ratio:
        return d;
      case RejectionStatistic::k1:
        return -d;
      case RejectionStatistic::k2:
        return d * d / 2;
      case RejectionStatistic::k3:
        return std::expm1(d) - d;
      case RejectionStatistic::binary_kl:
      case RejectionStatistic::total_variation:
        break;
    }
    const double rollout = batch_.rollout_log_probs[t];
    if (std::isnan(rollout)) return 0;
    const Coins coins = coins_of(batch_.log_probs[t], rollout);
    if (criterion_.statistic == RejectionStatistic::total_variation) return std::abs(coins.p - coins.q);
    return std::max(coin_kl(coins.p, coins.q), coin_kl(coins.q, coins.p));
  }

  // Sum, mean or maximum of the row's counted tokens; 0 without one.
  double row_statistic(const Mean& tokens, double maximum) const {
    if (criterion_.level == RejectionLevel::sequence_sum) return tokens.sum();
    if (criterion_.level == RejectionLevel::sequence_max) return tokens.count() > 0 ? maximum : 0;
    return tokens.value(rule_.count_epsilon);
  }

  bool rejects(double statistic) const { return statistic < low_ || statistic > high_; }

  void row(std::size_t i, std::uint8_t* kept, std::uint8_t* keep) {
    const std::int32_t begin = batch_.cu_seqlens[i], end = batch_.cu_seqlens[i + 1];
    const bool spared = criterion_.only_negative && batch_.advantages[i] >= 0;
    Mean tokens;
    double maximum = -infinite;
    bool rejected = false;
    for (std::int32_t t = begin; t < end; ++t) {
      if (!counts(batch_, t)) continue;
      const double statistic = token_statistic(t);
      tokens.add(statistic);
      maximum = std::max(maximum, statistic);
      if (!by_token()) continue;
      const bool out = !spared && rejects(statistic);
      note(statistic);
      masked_.add(out ? 1 : 0);
      if (out) kept[t] = 0;
      rejected = rejected || out;
    }
    const double statistic = row_statistic(tokens, maximum);
    if (!by_token()) {
      rejected = !spared && rejects(statistic);
      for (std::int32_t t = begin; t < end; ++t) {
        if (!counts(batch_, t)) continue;
        note(statistic);
        masked_.add(rejected ? 1 : 0);
        if (rejected) kept[t] = 0;
      }
    }
    if (rejected) keep[i] = 0;
    if (tokens.count() == 0) return;
    rows_.push_back(statistic);
    row_masked_.add(rejected ? 1 : 0);
  }

  // One token's statistic, its own or its row's.
  void note(double statistic) {
    all_.add(statistic);
    minimum_ = std::min(minimum_, statistic);
    maximum_ = std::max(maximum_, statistic);
    above_.add(statistic > high_ ? 1 : 0);
    below_.add(statistic < low_ ? 1 : 0);
    const double cut = std::min(std::max(statistic, low_), high_);
    cut_.add(cut);
    cut_squares_.add(cut * cut);
  }

  CriterionMetrics finish() const {
    CriterionMetrics metrics;
    if (rows_.empty()) return metrics;
    const double epsilon = rule_.count_epsilon;
    metrics.mean = all_.value(epsilon);
    metrics.maximum = maximum_;
    metrics.minimum = minimum_;
    Mean above, below;
    for (const double value : rows_) {
      above.add(value > high_ ? 1 : 0);
      below.add(value < low_ ? 1 : 0);
      metrics.sequence_max_deviation = std::max(metrics.sequence_max_deviation, std::abs(value));
    }
    metrics.sequence_fraction_high = above.value();
    metrics.sequence_fraction_low = below.value();
    metrics.fraction_high = by_token() ? above_.value(epsilon) : above.value();
    metrics.fraction_low = by_token() ? below_.value(epsilon) : below.value();
    const double cut_mean = cut_.value(epsilon);
    if (all_.count() > 1) {
      metrics.deviation = std::sqrt(std::max(cut_squares_.value(epsilon) - cut_mean * cut_mean, 0.0));
    }
    const Summary rows = summary_of(rows_);
    metrics.sequence_mean = rows.mean;
    metrics.sequence_deviation = rows.deviation;
    metrics.sequence_maximum = rows.maximum;
    metrics.sequence_minimum = rows.minimum;
    metrics.masked_fraction = masked_.value(epsilon);
    metrics.sequence_masked_fraction = row_masked_.value();
    return metrics;
  }

  const Criterion& criterion_;
  const RejectionRule& rule_;
  const RolloutBatch<Float>& batch_;
  double low_ = 0, high_ = 0;
  std::vector<double> rows_;  // of rows with a counted token: the statistic, for tokens its mean
  Mean all_, above_, below_, cut_, cut_squares_, masked_, row_masked_;
  double minimum_ = infinite, maximum_ = -infinite;
};

}  // namespace

template <typename Float>
CriterionMetrics reject(const Criterion& criterion, const RejectionRule& rule,
                        const RolloutBatch<Float>& batch, std::uint8_t* mask, std::uint8_t* keep) {
  return Judgement<Float>(criterion, rule, batch).apply(mask, keep);
}

template CriterionMetrics reject(const Criterion&, const RejectionRule&, const RolloutBatch<float>&,
                                 std::uint8_t*, std::uint8_t*);
template CriterionMetrics reject(const Criterion&, const RejectionRule&, const RolloutBatch<double>&,
                                 std::uint8_t*, std::uint8_t*);

}  // namespace adjudge::reference
