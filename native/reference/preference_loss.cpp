#include "reference/preference_loss.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "rules/preference_metrics.h"
#include "rules/preference_odds.h"
#include "rules/preference_sorted.h"
#include "rules/preference_terms.h"

namespace adjudge::reference {
namespace {

using namespace rl;

// Over pairs; kto: over the completions of either side.
struct Sums {
  double reward_chosen = 0;
  double reward_rejected = 0;
  double higher = 0;
  double margin = 0;
  double log_prob_chosen = 0;
  double log_prob_rejected = 0;
  double log_odds = 0;
  double log_sigmoid_odds = 0;
};

struct Completion {
  double log_prob = 0;   // sum, or mean where log-probs are normalised
  double log_ratio = 0;  // to the reference
  double score = 0;
  double slope = 0;     // d score / d log ratio
  double gradient = 0;  // d loss / d log ratio
  double scale = 1;     // d log ratio / d log-prob of a token
  double nll_sum = 0;   // sum of the log-probs that the nll counts
  double nll_tokens = 0;
  double times_chosen = 0;
};

class Preference {
 public:
  Preference(const PreferenceRule& rule, const PreferenceBatch<double>& batch)
      : rule_(rule), batch_(batch), completions_(batch.completions) {}

  PreferenceValue run(double* gradients) {
    for (std::size_t i = 0; i < batch_.completions; ++i) read(i);
    switch (rule_.kind) {
      case PreferenceKind::kto:
        judge_singly();
        break;
      case PreferenceKind::aot:
      case PreferenceKind::aot_unpaired:
        match_sorted();
        break;
      default:
        compare();
    }
    if (rule_.kind != PreferenceKind::kto) {
      center();
      measure_pairs();
      likelihood();
    }
    write(gradients);
    return result_;
  }

 private:
  bool counted(const std::uint8_t* mask, std::int32_t t) const { return !mask || mask[t]; }
  const std::uint8_t* nll_mask() const { return batch_.nll_mask ? batch_.nll_mask : batch_.mask; }

  // Log-prob, log ratio and score of a completion.
  void read(std::size_t i) {
    Completion& one = completions_[i];
    double reference = 0;
    double tokens = 0;
    if (batch_.cu_seqlens) {
      for (std::int32_t t = batch_.cu_seqlens[i]; t < batch_.cu_seqlens[i + 1]; ++t) {
        const double log_prob = batch_.log_probs[t];
        if (counted(batch_.mask, t)) {
          one.log_prob += log_prob;
          if (batch_.reference_log_probs) reference += batch_.reference_log_probs[t];
          ++tokens;
        }
        if (counted(nll_mask(), t)) {
          one.nll_sum += log_prob;
          ++one.nll_tokens;
        }
      }
    } else {
      one.log_prob = batch_.log_probs[i];
      if (batch_.reference_log_probs) reference = batch_.reference_log_probs[i];
      tokens = batch_.lengths ? batch_.lengths[i] : 1;
      one.nll_sum = one.log_prob;
      one.nll_tokens = tokens;
    }
    const double divisor = std::max(tokens, 1.0);
    if (rule_.length_normalization == LengthNormalization::log_prob) {
      one.log_prob /= divisor;
      reference /= divisor;
      one.scale = 1 / divisor;
    }
    one.log_ratio = one.log_prob - reference;
    const Score<double> score = score_of(rule_, one.log_ratio);
    const double share = rule_.length_normalization == LengthNormalization::score ? 1 / divisor : 1;
    one.score = score.value * share;
    one.slope = score.slope * share;
  }

  Completion& chosen(std::size_t p) { return completions_[static_cast<std::size_t>(batch_.chosen[p])]; }
  Completion& rejected(std::size_t p) { return completions_[static_cast<std::size_t>(batch_.rejected[p])]; }
  double weight(std::size_t p) const { return batch_.weights ? batch_.weights[p] : 1.0; }

  // Every term of a mean has this share.
  double share(std::size_t own) const {
    const double size = batch_.batch_size >= 0 ? batch_.batch_size : static_cast<double>(own);
    return size > 0 ? 1 / size : 0;
  }

  void add(Completion& one, double score_gradient) { one.gradient += score_gradient * one.slope; }

  void compare() {
    const double each = share(batch_.pairs);
    for (std::size_t p = 0; p < batch_.pairs; ++p) {
      const double weighted = each * weight(p);
      PairLoss<double> pair;
      if (rule_.kind == PreferenceKind::orpo) {
        check_odds(batch_.chosen[p]);
        check_odds(batch_.rejected[p]);
        const OddsLoss<double> odds = odds_loss(rule_, chosen(p).score, rejected(p).score);
        pair = odds.pair;
        sums_.log_odds += odds.log_odds;
        sums_.log_sigmoid_odds += odds.log_sigmoid_odds;
      } else {
        const double margin = batch_.margins ? batch_.margins[p] : 0.0;
        pair = pair_loss(rule_, chosen(p).score, rejected(p).score, margin);
      }
      result_.loss += weighted * pair.value;
      add(chosen(p), weighted * pair.chosen);
      add(rejected(p), weighted * pair.rejected);
    }
  }

  void check_odds(std::int32_t completion) const {
    if (completions_[static_cast<std::size_t>(completion)].score < 0) return;
    refuse_odds(completion);
  }

  // AOT (Melnyk et al. 2024): distributions are compared, so both sides are sorted and matched by rank.
  void match_sorted() {
    const double each = share(batch_.pairs);
    const bool unpaired = rule_.kind == PreferenceKind::aot_unpaired;
    std::vector<double> left(batch_.pairs), right(batch_.pairs);
    for (std::size_t p = 0; p < batch_.pairs; ++p) {
      const Completion& good = chosen(p);
      const Completion& bad = rejected(p);
      left[p] = unpaired ? good.log_ratio : good.log_prob - bad.log_prob;
      right[p] = unpaired ? bad.log_ratio : (good.log_prob - good.log_ratio) - (bad.log_prob - bad.log_ratio);
    }
    result_.loss += sorted_loss(rule_, left, right,
                                [&](std::size_t l, std::size_t r, const PairLoss<double>& pair) {
                                  chosen(l).gradient += each * pair.chosen;
                                  // Unpaired, the other side is a rejected completion; paired, the reference,
                                  // which is constant.
                                  (unpaired ? rejected(r) : rejected(l)).gradient += each * pair.rejected;
                                }) *
                    each;
  }

  double kl_baseline() const {
    if (!batch_.mismatched_log_probs) return batch_.kl_baseline;
    double sum = 0;
    for (std::size_t i = 0; i < batch_.mismatched; ++i) {
      sum += static_cast<double>(batch_.mismatched_log_probs[i]) - batch_.mismatched_reference_log_probs[i];
    }
    return batch_.mismatched > 0 ? std::max(sum / static_cast<double>(batch_.mismatched), 0.0) : 0;
  }

  // KTO (Ethayarajh et al. 2024, equation 7): a completion against the baseline.
  void judge_singly() {
    const double each = share(batch_.completions);
    const double baseline = kl_baseline();
    result_.metrics.kl = baseline;
    double good = 0, bad = 0;
    for (std::size_t i = 0; i < batch_.completions; ++i) {
      Completion& one = completions_[i];
      const double side = batch_.desirable[i] ? 1 : -1;
      const double lambda = batch_.desirable[i] ? rule_.desirable_weight : rule_.undesirable_weight;
      const double weighted = each * weight(i) * lambda;
      const Score<double> term = single_loss(rule_, one.score, baseline, side);
      result_.loss += weighted * term.value;
      add(one, weighted * term.slope);
      (batch_.desirable[i] ? good : bad) += 1;
      (batch_.desirable[i] ? sums_.reward_chosen : sums_.reward_rejected) += reward(one);
      (batch_.desirable[i] ? sums_.log_prob_chosen : sums_.log_prob_rejected) += one.log_prob;
    }
    single_means(sums_, good, bad, result_.metrics);
  }

  void center() {
    if (rule_.center_coefficient == 0) return;
    const double each = share(batch_.pairs) * rule_.center_coefficient;
    for (std::size_t p = 0; p < batch_.pairs; ++p) {
      const double sum = chosen(p).score + rejected(p).score;
      result_.loss += each * sum * sum;
      add(chosen(p), 2 * each * sum);
      add(rejected(p), 2 * each * sum);
    }
  }

  // With a reference beta x log ratio, whatever the divergence; without one the score itself.
  double reward(const Completion& one) const {
    return rule_.beta * (batch_.reference_log_probs ? one.log_ratio : one.score);
  }

  void measure_pairs() {
    double least = std::numeric_limits<double>::infinity(), most = -least;
    for (std::size_t p = 0; p < batch_.pairs; ++p) {
      const double good = reward(chosen(p));
      const double bad = reward(rejected(p));
      sums_.reward_chosen += good;
      sums_.reward_rejected += bad;
      sums_.higher += good > bad ? 1 : 0;
      sums_.margin += good - bad;
      sums_.log_prob_chosen += chosen(p).log_prob;
      sums_.log_prob_rejected += rejected(p).log_prob;
      least = std::min({least, good, bad});
      most = std::max({most, good, bad});
    }
    pair_means(sums_, static_cast<double>(batch_.pairs), least, most, result_.metrics);
  }

  // Mean token loss on the chosen completions, each as often as it was chosen.
  void likelihood() {
    double sum = 0;
    double tokens = 0;
    for (std::size_t p = 0; p < batch_.pairs; ++p) {
      sum += chosen(p).nll_sum;
      tokens += chosen(p).nll_tokens;
      ++chosen(p).times_chosen;
    }
    result_.metrics.nll = mean_or_nan(-sum, tokens);
    const double all = batch_.batch_tokens >= 0 ? batch_.batch_tokens : tokens;
    if (rule_.nll_coefficient == 0 || all <= 0) return;
    nll_share_ = rule_.nll_coefficient / all;
    result_.loss -= nll_share_ * sum;
  }

  void write(double* gradients) const {
    for (std::size_t i = 0; i < batch_.completions; ++i) {
      const Completion& one = completions_[i];
      const double each = one.gradient * one.scale;
      const double likelihood = nll_share_ * one.times_chosen;
      if (!batch_.cu_seqlens) {
        gradients[i] = each - likelihood;
        continue;
      }
      for (std::int32_t t = batch_.cu_seqlens[i]; t < batch_.cu_seqlens[i + 1]; ++t) {
        const double ranked = counted(batch_.mask, t) ? each : 0;
        gradients[t] = ranked - (counted(nll_mask(), t) ? likelihood : 0);
      }
    }
  }

  const PreferenceRule& rule_;
  const PreferenceBatch<double>& batch_;
  std::vector<Completion> completions_;
  PreferenceValue result_;
  Sums sums_;
  double nll_share_ = 0;
};

}  // namespace

PreferenceValue preference_loss(const PreferenceRule& rule, const PreferenceBatch<double>& batch,
                                double* gradients) {
  return Preference(rule, batch).run(gradients);
}

}  // namespace adjudge::reference
