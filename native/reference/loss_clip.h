#pragma once

#include <algorithm>
#include <cmath>

#include "reference/loss_term.h"
#include "rules/policy_loss.h"

// PPO's clipped ratio (Schulman et al. 2017, arXiv 1707.06347) with dual clip (Ye et al. 2020, arXiv
// 1912.09729) and TRL's two-sided cap, and the two forms that single out tokens by covariance (Cui et al.
// 2025, arXiv 2505.22617).
namespace adjudge::reference {

using namespace rl;

// max(-r A, -clip(r) A); at a tie the slope is the mean of both, as torch does.
inline LossTerm clip_term(const LossRule& rule, const LossToken& token) {
  const double ratio = token.ratio;
  const double advantage = token.advantage;
  const double low = 1 - rule.clip_low;
  const double high = 1 + rule.clip_high;
  const double first = -advantage * std::min(ratio, rule.ratio_cap);
  const double second = -advantage * std::min(std::max(ratio, low), high);
  const double first_slope = ratio <= rule.ratio_cap ? -advantage : 0;
  const double second_slope = ratio >= low && ratio <= high ? -advantage : 0;
  LossTerm term;
  term.value = std::max(first, second);
  term.ratio_slope = first > second   ? first_slope
                     : first < second ? second_slope
                                      : (first_slope + second_slope) / 2;
  term.low = ratio < low && advantage < 0;
  term.high = ratio > high && advantage > 0;
  term.bound = ratio < low || ratio > high;
  const double limit = -advantage * rule.dual_clip;
  if (advantage < 0 && std::isfinite(rule.dual_clip) && limit < term.value) {
    term.value = limit;
    term.ratio_slope = 0;
    term.dual = true;
  }
  return term;
}

// Clip-Cov: a token singled out teaches nothing.
inline LossTerm clip_cov_term(const LossRule& rule, const LossToken& token) {
  LossTerm term = clip_term(rule, token);
  if (token.selected) term.value = term.ratio_slope = 0;
  return term;
}

// KL-Cov: the unclipped ratio; a token singled out is held at its old log-prob by the magnitude of the
// change.
inline LossTerm kl_cov_term(const LossRule& rule, const LossToken& token) {
  LossTerm term;
  term.ratio_slope = -token.advantage;
  term.value = -token.advantage * token.ratio;
  if (token.selected) {
    const double difference = token.log_prob - token.old_log_prob;
    term.value += rule.covariance.kl_coefficient * std::abs(difference);
    term.log_prob_slope = difference == 0 ? 0 : std::copysign(rule.covariance.kl_coefficient, difference);
  }
  return term;
}

}  // namespace adjudge::reference
