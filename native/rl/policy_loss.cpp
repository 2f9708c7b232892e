#include "rl/policy_loss.h"

#include <algorithm>
#include <cmath>

namespace adjudge::rl {
namespace {

struct Surrogate {
  double value;
  double slope;  // with respect to the ratio
  bool low;
  bool high;
  bool dual;
};

// max(-r A, -clip(r) A); at a tie the slope is the mean of both, as torch does.
Surrogate surrogate_of(const LossRule& rule, double ratio, double advantage) {
  const double low = 1 - rule.clip_low;
  const double high = 1 + rule.clip_high;
  const double capped = std::min(ratio, rule.ratio_cap);
  const double clipped = std::min(std::max(ratio, low), high);
  const double first = -advantage * capped;
  const double second = -advantage * clipped;
  const double first_slope = ratio <= rule.ratio_cap ? -advantage : 0;
  const double second_slope = ratio >= low && ratio <= high ? -advantage : 0;
  Surrogate result{std::max(first, second),
                   first > second   ? first_slope
                   : first < second ? second_slope
                                    : (first_slope + second_slope) / 2,
                   ratio < low && advantage<0, ratio> high && advantage > 0, false};
  if (advantage < 0 && std::isfinite(rule.dual_clip)) {
    const double limit = -advantage * rule.dual_clip;
    if (limit < result.value) {
      result.value = limit;
      result.slope = 0;
      result.dual = true;
    }
  }
  return result;
}

double inverse(double x) { return x > 0 ? 1 / x : 0; }

struct Counts {
  double tokens = 0;
  double sequences = 0;
};

double row_weight(const LossRule& rule, const Counts& counts, double row_tokens) {
  switch (rule.aggregation) {
    case Aggregation::token_mean:
      return inverse(counts.tokens);
    case Aggregation::token_sum:
      return 1;
    case Aggregation::sequence_mean_token_mean:
      return row_tokens > 0 ? inverse(counts.sequences) / (row_tokens + rule.token_epsilon) : 0;
    case Aggregation::sequence_mean_token_sum:
      return inverse(counts.sequences);
    case Aggregation::constant:
      return inverse(counts.sequences) / rule.constant;
    case Aggregation::sequence_mean:
      return inverse(counts.sequences) * inverse(row_tokens);
  }
  return 0;
}

struct RowRatio {
  double value;
  double slope;  // d ratio / d (sum of the row's log-probs), joint gradient
  bool inside;   // log ratio within its bounds
};

template <typename Float>
class Sweep {
 public:
  Sweep(const LossRule& rule, const LossBatch<Float>& batch) : rule_(rule), batch_(batch) {}

  LossValue run(Float* gradients, Float* entropy_gradients) {
    Counts counts = count();
    result_.metrics.tokens = counts.tokens;
    result_.metrics.sequences = counts.sequences;
    const Counts own = counts;
    if (batch_.batch_tokens >= 0) counts.tokens = batch_.batch_tokens;
    if (batch_.batch_sequences >= 0) counts.sequences = batch_.batch_sequences;
    for (std::size_t i = 0; i < batch_.rows; ++i) row(i, counts, gradients, entropy_gradients);
    finish(own);
    return result_;
  }

 private:
  bool counted(std::int32_t t) const { return !batch_.mask || batch_.mask[t]; }

  double row_tokens(std::size_t i) const {
    double n = 0;
    for (std::int32_t t = batch_.cu_seqlens[i]; t < batch_.cu_seqlens[i + 1]; ++t) n += counted(t) ? 1 : 0;
    return n;
  }

  Counts count() const {
    Counts counts;
    for (std::size_t i = 0; i < batch_.rows; ++i) {
      const double n = row_tokens(i);
      counts.tokens += n;
      counts.sequences += n > 0 || rule_.count_empty_rows ? 1 : 0;
    }
    return counts;
  }

  double bounded(double log_ratio) const {
    return std::min(std::max(log_ratio, rule_.log_ratio_low), rule_.log_ratio_high);
  }

  RowRatio row_ratio(std::size_t i, double n) const {
    double sum = 0;
    for (std::int32_t t = batch_.cu_seqlens[i]; t < batch_.cu_seqlens[i + 1]; ++t) {
      if (counted(t)) sum += static_cast<double>(batch_.log_probs[t]) - batch_.old_log_probs[t];
    }
    const double log_ratio = rule_.ratio == Ratio::sequence ? sum * inverse(n) : sum;
    const double value = std::exp(bounded(log_ratio));
    const bool inside = log_ratio >= rule_.log_ratio_low && log_ratio <= rule_.log_ratio_high;
    const double slope = rule_.ratio == Ratio::sequence ? value * inverse(n) : value;
    return {value, inside ? slope : 0, inside};
  }

  void row(std::size_t i, const Counts& counts, Float* gradients, Float* entropy_gradients) {
    const double n = row_tokens(i);
    const double weight = row_weight(rule_, counts, n);
    const bool by_token = rule_.ratio == Ratio::token;
    const bool joint = !by_token && rule_.ratio_gradient == RatioGradient::joint;
    const RowRatio whole = by_token ? RowRatio{1, 0, true} : row_ratio(i, n);
    if (n == 0 && rule_.aggregation == Aggregation::sequence_mean && rule_.count_empty_rows) {
      if (!batch_.advantages_per_token) {
        result_.loss += inverse(counts.sequences) * surrogate_of(rule_, 1, batch_.advantages[i]).value;
      }
    }
    double shared = 0;  // derivative with respect to the row's ratio
    bool low = false;
    bool high = false;
    bool dual = false;
    for (std::int32_t t = batch_.cu_seqlens[i]; t < batch_.cu_seqlens[i + 1]; ++t) {
      gradients[t] = 0;
      if (entropy_gradients) entropy_gradients[t] = 0;
      if (!counted(t)) continue;
      const double log_prob = batch_.log_probs[t];
      const double difference = log_prob - batch_.old_log_probs[t];
      double ratio = whole.value;
      double own_slope = joint ? 0 : (whole.inside ? whole.value : 0);
      if (by_token) {
        ratio = std::exp(bounded(difference));
        own_slope = difference >= rule_.log_ratio_low && difference <= rule_.log_ratio_high ? ratio : 0;
      }
      const double advantage =
          batch_.advantages[batch_.advantages_per_token ? static_cast<std::size_t>(t) : i];
      const double importance = batch_.importance_weights ? batch_.importance_weights[t] : 1.0;
      double gradient = 0;
      double loss = 0;
      if (rule_.kind == LossKind::policy_gradient) {
        loss = -advantage * log_prob * importance;
        gradient = -advantage * importance;
      } else {
        const Surrogate surrogate = surrogate_of(rule_, ratio, advantage);
        loss = surrogate.value * importance;
        gradient = surrogate.slope * importance * own_slope;
        if (joint) shared += weight * importance * surrogate.slope;
        if (by_token) {
          clip_low_ += surrogate.low;
          clip_high_ += surrogate.high;
          clip_dual_ += surrogate.dual;
        }
        low = low || surrogate.low;
        high = high || surrogate.high;
        dual = dual || surrogate.dual;
      }
      if (batch_.reference_log_probs) {
        const KlValue kl =
            kl_divergence(rule_.kl, log_prob, batch_.reference_log_probs[t], batch_.old_log_probs[t]);
        const double factor = rule_.kl.ratio_weighted ? ratio : 1;
        kl_ += kl.value * factor;
        loss += rule_.kl.coefficient * kl.value * factor;
        gradient += rule_.kl.coefficient * kl.gradient * factor;
        if (rule_.kl.ratio_weighted) {
          gradient += rule_.kl.coefficient * kl.value * own_slope;
          if (joint) shared += weight * rule_.kl.coefficient * kl.value;
        }
      }
      if (batch_.entropies) {
        entropy_ += batch_.entropies[t];
        const double bonus =
            rule_.entropy_coefficient * (rule_.entropy_token_mean ? inverse(counts.tokens) : weight);
        result_.loss -= bonus * batch_.entropies[t];
        if (entropy_gradients) entropy_gradients[t] = static_cast<Float>(-bonus);
      }
      ratio_ += ratio;
      result_.metrics.ratio_max = std::max(result_.metrics.ratio_max, ratio);
      old_kl_ -= difference;
      result_.loss += weight * loss;
      gradients[t] = static_cast<Float>(weight * gradient);
    }
    if (!by_token) {
      clip_low_ += low;
      clip_high_ += high;
      clip_dual_ += dual;
    }
    if (!joint || shared == 0) return;
    for (std::int32_t t = batch_.cu_seqlens[i]; t < batch_.cu_seqlens[i + 1]; ++t) {
      if (counted(t)) gradients[t] = static_cast<Float>(gradients[t] + shared * whole.slope);
    }
  }

  void finish(const Counts& own) {
    LossMetrics& metrics = result_.metrics;
    const double clip_units = rule_.ratio == Ratio::token ? own.tokens : static_cast<double>(batch_.rows);
    metrics.clip_low = clip_low_ * inverse(clip_units);
    metrics.clip_high = clip_high_ * inverse(clip_units);
    metrics.clip_dual = clip_dual_ * inverse(clip_units);
    metrics.kl = kl_ * inverse(own.tokens);
    metrics.entropy = entropy_ * inverse(own.tokens);
    metrics.ratio_mean = ratio_ * inverse(own.tokens);
    metrics.old_kl = old_kl_ * inverse(own.tokens);
  }

  const LossRule& rule_;
  const LossBatch<Float>& batch_;
  LossValue result_;
  double clip_low_ = 0, clip_high_ = 0, clip_dual_ = 0, kl_ = 0, entropy_ = 0, ratio_ = 0, old_kl_ = 0;
};

}  // namespace

template <typename Float>
LossValue policy_loss(const LossRule& rule, const LossBatch<Float>& batch, Float* log_prob_gradients,
                      Float* entropy_gradients) {
  return Sweep<Float>(rule, batch).run(log_prob_gradients, entropy_gradients);
}

template LossValue policy_loss(const LossRule&, const LossBatch<float>&, float*, float*);
template LossValue policy_loss(const LossRule&, const LossBatch<double>&, double*, double*);

}  // namespace adjudge::rl
