#pragma once

#include <algorithm>
#include <cmath>

#include "reference/loss_term.h"
#include "rules/policy_loss.h"

// Minus A x log-prob times a weight that is a constant for the gradient: cispo, dppo, vespo.
namespace adjudge::reference {

using namespace rl;

// CISPO (MiniMax 2025, arXiv 2506.13585): the ratio within 1 - clip_low and 1 + clip_high (verl), or at most
// ratio_cap, an absolute number (TRL).
inline LossTerm cispo_term(const LossRule& rule, const LossToken& token) {
  const double low = 1 - rule.clip_low;
  const double high = std::min(1 + rule.clip_high, rule.ratio_cap);
  LossTerm term = weighted_log_prob(token, std::min(std::max(token.ratio, low), high));
  term.low = token.ratio < low && token.advantage < 0;
  term.high = token.ratio > high && token.advantage > 0;
  term.bound = token.ratio < low || token.ratio > high;
  return term;
}

// KL(old || policy) of the two-valued choice "this token or another"; the constant is verl's.
inline double binary_kl(double log_prob, double old_log_prob) {
  const double probability = std::exp(log_prob);
  const double old_probability = std::exp(old_log_prob);
  return old_probability * (old_log_prob - log_prob) +
         (1 - old_probability) * std::log((1 - old_probability + 1e-8) / (1 - probability + 1e-8));
}

// DPPO (arXiv 2602.04879): a token is stopped where it has moved too far the way its advantage pushes,
// measured by the change of its probability (total variation) or by the binary KL; clip_low and clip_high are
// the bounds of that measure, ratio_cap bounds the weight.
inline LossTerm dppo_term(const LossRule& rule, const LossToken& token) {
  const bool rises = token.advantage > 0;
  bool inside = false;
  if (rule.kind == LossKind::dppo_tv) {
    const double change = std::exp(token.log_prob) - std::exp(token.old_log_prob);
    inside = rises ? change <= rule.clip_high : change >= -rule.clip_low;
  } else {
    const double divergence = binary_kl(token.log_prob, token.old_log_prob);
    inside = rises ? divergence <= rule.clip_high || token.log_prob <= token.old_log_prob
                   : divergence <= rule.clip_low || token.log_prob >= token.old_log_prob;
  }
  LossTerm term;
  if (inside) term = weighted_log_prob(token, std::min(token.ratio, rule.ratio_cap));
  term.low = !inside && !rises;
  term.high = !inside && rises;
  term.dual = inside && token.ratio > rule.ratio_cap;
  term.bound = !inside || term.dual;
  return term;
}

// VESPO: phi(w) of the row's ratio, computed in logs; 1 at w = 1. The floor of the rate is TRL's.
inline double vespo_weight(const GammaWeight& gamma, double log_weight, double advantage) {
  const double shape = advantage >= 0 ? gamma.shape_positive : gamma.shape_negative;
  const double rate = std::max(advantage >= 0 ? gamma.rate_positive : gamma.rate_negative, 1e-4);
  return std::exp(rate + shape * log_weight - rate * std::exp(log_weight));
}

// Bounds of the log of one token's ratio or weight, and of their sum over the row (TRL).
inline constexpr double vespo_log_limit = 20;
inline const double vespo_log_floor = std::log(1e-8);

inline double vespo_bounded(double log_weight) {
  return std::min(std::max(log_weight, vespo_log_floor), vespo_log_limit);
}

}  // namespace adjudge::reference
