#include "reference/policy_loss.h"

#include <algorithm>
#include <cmath>

#include "rules/aggregation.h"
#include "reference/loss_clip.h"
#include "reference/loss_row.h"
#include "reference/loss_selection.h"
#include "reference/loss_smooth.h"
#include "reference/loss_weighted.h"
#include "rules/kl_terms.h"

namespace adjudge::reference {
namespace {

LossTerm term_of(const LossRule& rule, const LossToken& token) {
  switch (rule.kind) {
    case LossKind::clip:
      return clip_term(rule, token);
    case LossKind::cispo:
      return cispo_term(rule, token);
    case LossKind::sapo:
      return sapo_term(rule, token);
    case LossKind::vespo:
      return weighted_log_prob(token, vespo_weight(rule.gamma_weight, token.row_log_weight, token.advantage));
    case LossKind::dppo_tv:
    case LossKind::dppo_kl:
      return dppo_term(rule, token);
    case LossKind::dro:
      return dro_term(rule, token);
    case LossKind::clip_cov:
      return clip_cov_term(rule, token);
    case LossKind::kl_cov:
      return kl_cov_term(rule, token);
    case LossKind::policy_gradient:
    case LossKind::gmpo:  // by rows: LossRows::geometric
      break;
  }
  return weighted_log_prob(token, 1);
}

struct RowClips {
  double low = 0;
  double high = 0;
  double dual = 0;
  double phi = 0;  // vespo: sum of its tokens' weights
};

template <typename Float>
class Sweep {
 public:
  Sweep(const LossRule& rule, const LossBatch<Float>& batch) : rule_(rule), batch_(batch) {
    kept_ = kept_tokens(rule, batch_);
    if (!kept_.empty()) batch_.mask = kept_.data();
    high_entropy_ = high_entropy_tokens(rule, batch_);
    selected_ = covariance_tokens(rule, batch_);
  }

  LossValue run(Float* gradients, Float* entropy_gradients) {
    Counts counts = count();
    result_.metrics.tokens = counts.tokens;
    result_.metrics.sequences = counts.sequences;
    const Counts own = counts;
    if (batch_.batch_tokens >= 0) counts.tokens = batch_.batch_tokens;
    if (batch_.batch_sequences >= 0) counts.sequences = batch_.batch_sequences;
    bonus_share_ = bonus_share();
    for (std::size_t i = 0; i < batch_.rows; ++i) row(i, counts, gradients, entropy_gradients);
    finish(own);
    return result_;
  }

 private:
  Counts count() const {
    Counts counts;
    for (std::size_t i = 0; i < batch_.rows; ++i) {
      const double n = rows_.tokens(i);
      counts.tokens += n;
      counts.sequences += n > 0 || rule_.aggregation.count_empty_rows ? 1 : 0;
    }
    return counts;
  }

  // A mean of the bonus is over the tokens of high entropy only: counted tokens per such token.
  double bonus_share() const {
    if (high_entropy_.empty() || !rule_.entropy_token_mean) return 1;
    double chosen = 0;
    for (const std::uint8_t one : high_entropy_) chosen += one;
    return result_.metrics.tokens * inverse(chosen);
  }

  // The loss of a row without a counted token, where such rows count: that of a ratio of 1.
  void empty_row(std::size_t i, const Counts& counts) {
    if (batch_.advantages_per_token || !rule_.aggregation.count_empty_rows) return;
    if (rule_.kind == LossKind::vespo) {
      phi_ += vespo_weight(rule_.gamma_weight, 0, batch_.advantages[i]);
      ++phi_count_;
    }
    if (rule_.aggregation.kind != Aggregation::sequence_mean) return;
    const double value = rule_.kind == LossKind::gmpo
                             ? -static_cast<double>(batch_.advantages[i])
                             : term_of(rule_, {0, 0, 1, batch_.advantages[i], 0, false}).value;
    result_.loss += inverse(counts.sequences) * value;
  }

  void row(std::size_t i, const Counts& counts, Float* gradients, Float* entropy_gradients) {
    const double n = rows_.tokens(i);
    if (n == 0) empty_row(i, counts);
    const double weight = row_weight(rule_.aggregation, counts, n);
    const bool by_token = rule_.ratio == Ratio::token;
    const bool geometric = rule_.kind == LossKind::gmpo;
    const bool joint = !by_token && rule_.ratio_gradient == RatioGradient::joint;
    const RowRatio whole = by_token ? RowRatio{1, 0, true} : rows_.ratio(i, n);
    const RowGeometric mean = geometric ? rows_.geometric(i, n) : RowGeometric{1, 1};
    const double log_weight = rule_.kind == LossKind::vespo ? rows_.log_weight(i) : 0;
    const bool off_policy = rows_.drifted(i, n);
    double shared = 0;  // derivative with respect to the row's ratio, or the log of its geometric mean
    RowClips clips;
    for (std::int32_t t = batch_.cu_seqlens[i]; t < batch_.cu_seqlens[i + 1]; ++t) {
      gradients[t] = 0;
      if (entropy_gradients) entropy_gradients[t] = 0;
      if (!rows_.counted(t)) continue;
      const double change = rows_.difference(t);
      LossToken token{batch_.log_probs[t], batch_.old_log_probs[t],
                      whole.value,         rows_.advantage(i, t),
                      log_weight,          !selected_.empty() && selected_[t] != 0};
      double own_slope = joint ? 0 : (whole.inside ? whole.value : 0);
      if (by_token) {
        token.ratio = std::exp(rows_.bounded(change));
        own_slope = change >= rule_.log_ratio_low && change <= rule_.log_ratio_high ? token.ratio : 0;
      }
      const double part = off_policy && token.advantage < 0 ? 0 : 1;
      double gradient = 0;
      double loss = 0;
      LossTerm term;
      if (geometric) {
        loss = -token.advantage * mean.value * part;
        shared += weight * loss;
        term.bound = change < -rule_.clip_low || change > rule_.clip_high;
        term.low = change < -rule_.clip_low && token.advantage < 0;
        term.high = change > rule_.clip_high && token.advantage > 0;
      } else {
        term = term_of(rule_, token);
        // VESPO's weight has the importance of the whole row in it already.
        const double factor =
            rows_.teaches(t) ? part * (rule_.kind == LossKind::vespo ? 1.0 : rows_.importance(t)) : 0;
        loss = term.value * factor;
        gradient = (term.ratio_slope * own_slope + term.log_prob_slope) * factor;
        if (joint) shared += weight * factor * term.ratio_slope;
      }
      note(term, token, clips);
      if (batch_.reference_log_probs) {
        const auto kl =
            kl_divergence(rule_.kl, token.log_prob, batch_.reference_log_probs[t], token.old_log_prob);
        const double factor = rule_.kl.ratio_weighted ? token.ratio : 1;
        const bool in_loss = rule_.kl.coefficient != 0;
        kl_ += kl.value * factor;
        if (in_loss) {
          loss += rule_.kl.coefficient * kl.value * factor;
          gradient += rule_.kl.coefficient * kl.gradient * factor;
        }
        if (in_loss && rule_.kl.ratio_weighted) {
          gradient += rule_.kl.coefficient * kl.value * own_slope;
          if (joint) shared += weight * rule_.kl.coefficient * kl.value;
        }
      }
      if (batch_.entropies) {
        entropy_ += batch_.entropies[t];
        const double each = rule_.entropy_token_mean ? inverse(counts.tokens) * bonus_share_ : weight;
        const double bonus = rows_.teaches(t) ? rule_.entropy_coefficient * each : 0;
        bonus_ += bonus * batch_.entropies[t];
        if (entropy_gradients) entropy_gradients[t] = static_cast<Float>(-bonus);
      }
      old_kl_ -= change;
      old_kl_bounded_ -= by_token ? rows_.bounded(change) : change;
      old_kl_absolute_ += std::abs(change);
      result_.loss += weight * loss;
      gradients[t] = static_cast<Float>(weight * gradient);
    }
    note_row(clips, n);
    if (shared == 0) return;
    for (std::int32_t t = batch_.cu_seqlens[i]; t < batch_.cu_seqlens[i + 1]; ++t) {
      if (!rows_.counted(t)) continue;
      if (geometric && !rows_.teaches(t)) continue;
      const double slope = geometric ? rows_.held(i, t).slope / mean.divisor : whole.slope;
      gradients[t] = static_cast<Float>(gradients[t] + shared * slope);
    }
  }

  void note(const LossTerm& term, const LossToken& token, RowClips& clips) {
    clips.low += term.low;
    clips.high += term.high;
    clips.dual += term.dual;
    clip_token_ += term.low || term.high;
    clip_bound_ += term.bound;
    selected_count_ += token.selected;
    ratio_ += token.ratio;
    result_.metrics.ratio_max = std::max(result_.metrics.ratio_max, token.ratio);
    if (rule_.kind == LossKind::vespo) clips.phi += term.weight;
  }

  // Adds a row's clips: by tokens, or as one where the ratio is the row's.
  void note_row(RowClips clips, double n) {
    if (n > 0) {
      phi_ += batch_.advantages_per_token ? clips.phi : clips.phi / n;
      phi_count_ += batch_.advantages_per_token ? n : 1;
    }
    double units = n;
    if (rule_.ratio != Ratio::token) {
      clips = {clips.low > 0 ? 1.0 : 0.0, clips.high > 0 ? 1.0 : 0.0, clips.dual > 0 ? 1.0 : 0.0, 0};
      units = 1;
    }
    clip_low_ += clips.low;
    clip_high_ += clips.high;
    clip_dual_ += clips.dual;
    if (units == 0) return;
    LossMetrics& metrics = result_.metrics;
    metrics.clip_low_min = any_row_ ? std::min(metrics.clip_low_min, clips.low / units) : clips.low / units;
    metrics.clip_high_max = std::max(metrics.clip_high_max, clips.high / units);
    any_row_ = true;
  }

  void finish(const Counts& own) {
    LossMetrics& metrics = result_.metrics;
    const double clip_units = rule_.ratio == Ratio::token ? own.tokens : static_cast<double>(batch_.rows);
    metrics.clip_low = clip_low_ * inverse(clip_units);
    metrics.clip_high = clip_high_ * inverse(clip_units);
    metrics.clip_dual = clip_dual_ * inverse(clip_units);
    metrics.clip_token = clip_token_ * inverse(own.tokens);
    metrics.clip_bound = clip_bound_ * inverse(own.tokens);
    metrics.selected = selected_count_ * inverse(own.tokens);
    metrics.phi = phi_ * inverse(phi_count_);
    metrics.kl = kl_ * inverse(own.tokens);
    metrics.entropy = entropy_ * inverse(own.tokens);
    metrics.ratio_mean = ratio_ * inverse(own.tokens);
    metrics.old_kl = old_kl_ * inverse(own.tokens);
    metrics.old_kl_bounded = old_kl_bounded_ * inverse(own.tokens);
    metrics.old_kl_absolute = old_kl_absolute_ * inverse(own.tokens);
    metrics.policy_loss = result_.loss;
    result_.loss -= bonus_;
  }

  const LossRule& rule_;
  LossBatch<Float> batch_;
  std::vector<std::uint8_t> kept_, high_entropy_, selected_;
  LossRows<Float> rows_{rule_, batch_, high_entropy_};
  LossValue result_;
  double bonus_share_ = 1;
  bool any_row_ = false;
  double clip_low_ = 0, clip_high_ = 0, clip_dual_ = 0, clip_token_ = 0, clip_bound_ = 0;
  double selected_count_ = 0, phi_ = 0, phi_count_ = 0;
  double bonus_ = 0, kl_ = 0, entropy_ = 0, ratio_ = 0;
  double old_kl_ = 0, old_kl_bounded_ = 0, old_kl_absolute_ = 0;
};

}  // namespace

template <typename Float>
LossValue policy_loss(const LossRule& rule, const LossBatch<Float>& batch, Float* log_prob_gradients,
                      Float* entropy_gradients) {
  return Sweep<Float>(rule, batch).run(log_prob_gradients, entropy_gradients);
}

template LossValue policy_loss(const LossRule&, const LossBatch<float>&, float*, float*);
template LossValue policy_loss(const LossRule&, const LossBatch<double>&, double*, double*);

}  // namespace adjudge::reference
