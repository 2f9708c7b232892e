#pragma once

#include "rules/loss_constants.h"
#include "rules/scalar_lane.h"

// What each loss kind makes of a token, without branches on the token: the same code for one token (float)
// and for a vector of them. Formulas and sources: reference/loss_*.h, which this follows line by line.
namespace adjudge::rl {

template <typename Number>
using MaskOf = decltype(less(Number{}, Number{}));

template <typename Number>
struct TokenLanes {
  Number log_prob;
  Number old_log_prob;
  Number ratio;
  Number advantage;
  Number row_weight;        // vespo: phi of the row's ratio for this sign of the advantage; others: not read
  MaskOf<Number> selected;  // clip_cov, kl_cov; others: not read
};

template <typename Number>
struct TermLanes {
  Number value;
  Number ratio_slope;     // derivative with respect to the ratio
  Number log_prob_slope;  // with respect to the log-prob, the ratio held
  MaskOf<Number> low;     // clipped below with A < 0
  MaskOf<Number> high;    // clipped above with A > 0
  MaskOf<Number> dual;
  MaskOf<Number> bound;  // the bounds change the ratio or stop the token, whatever A
};

// A token's ratio from its log ratio, and its derivative with respect to the log-prob: 0 outside the bounds.
template <typename Number>
struct RatioLanes {
  Number bounded;  // the log ratio within its bounds
  Number value;
  Number slope;
};

template <typename Number>
ADJUDGE_DEVICE RatioLanes<Number> token_ratio(const LossConstants& rule, Number log_ratio) {
  const Number low(rule.log_ratio_low);
  const Number high(rule.log_ratio_high);
  const Number bounded = minimum(minimum(maximum(log_ratio, low), high), Number(single_overflow_limit));
  const Number value = exponential(bounded);
  const auto inside = both(at_most(low, log_ratio), at_most(log_ratio, high));
  return {bounded, value, select(inside, value, Number(0.0f))};
}

template <typename Number>
ADJUDGE_DEVICE TermLanes<Number> no_term() {
  const Number zero(0.0f);
  const auto never = less(zero, zero);
  return {zero, zero, zero, never, never, never, never};
}

// weight x -A x log_prob, the weight a constant for the gradient.
template <typename Number>
ADJUDGE_DEVICE TermLanes<Number> weighted_log_prob_lanes(const TokenLanes<Number>& token, Number weight) {
  TermLanes<Number> term = no_term<Number>();
  term.log_prob_slope = -weight * token.advantage;
  term.value = term.log_prob_slope * token.log_prob;
  return term;
}

// Where the clipped loss follows the ratio, for one sign of the advantage: it is -A x the ratio held between
// `lowest` and `highest`, whatever of max(-A r, -A clip(r)), the cap and the dual clip decides.
template <typename Number>
struct ClipRange {
  Number lowest;
  Number highest;
};

template <typename Number>
ADJUDGE_DEVICE ClipRange<Number> clip_range(const LossConstants& rule, Number advantage) {
  const Number high(rule.ratio_high);
  const Number cap(rule.ratio_cap);
  const auto negative = less(advantage, Number(0.0f));
  return {select(negative, Number(rule.ratio_low), Number(-single_infinity)),
          select(negative, minimum(maximum(cap, high), Number(rule.dual_clip)), minimum(cap, high))};
}

template <typename Number>
ADJUDGE_DEVICE TermLanes<Number> clip_lanes(const LossConstants& rule, const TokenLanes<Number>& token) {
  const Number zero(0.0f);
  const Number low(rule.ratio_low);
  const Number high(rule.ratio_high);
  const ClipRange<Number> range = clip_range(rule, token.advantage);
  const Number opposite_advantage = -token.advantage;
  const Number held = minimum(maximum(token.ratio, range.lowest), range.highest);
  TermLanes<Number> term = no_term<Number>();
  term.value = opposite_advantage * held;
  term.ratio_slope = select(equal(held, token.ratio), opposite_advantage, zero);
  const auto negative = less(token.advantage, zero);
  const auto below = less(token.ratio, low);
  const auto above = less(high, token.ratio);
  term.low = both(below, negative);
  term.high = both(above, less(zero, token.advantage));
  term.bound = either(below, above);
  const Number undual = minimum(maximum(token.ratio, low), maximum(Number(rule.ratio_cap), high));
  term.dual = both(negative, less(Number(rule.dual_clip), undual));
  return term;
}

template <typename Number>
ADJUDGE_DEVICE TermLanes<Number> clip_cov_lanes(const LossConstants& rule, const TokenLanes<Number>& token) {
  TermLanes<Number> term = clip_lanes(rule, token);
  term.value = select(token.selected, Number(0.0f), term.value);
  term.ratio_slope = select(token.selected, Number(0.0f), term.ratio_slope);
  return term;
}

template <typename Number>
ADJUDGE_DEVICE TermLanes<Number> kl_cov_lanes(const LossConstants& rule, const TokenLanes<Number>& token) {
  const Number zero(0.0f);
  const Number coefficient(rule.covariance_kl_coefficient);
  const Number difference = token.log_prob - token.old_log_prob;
  TermLanes<Number> term = no_term<Number>();
  term.ratio_slope = -token.advantage;
  term.value = term.ratio_slope * token.ratio;
  term.value = select(token.selected, term.value + coefficient * absolute(difference), term.value);
  const Number sign =
      select(less(zero, difference), coefficient, select(less(difference, zero), -coefficient, zero));
  term.log_prob_slope = select(token.selected, sign, zero);
  return term;
}

template <typename Number>
ADJUDGE_DEVICE TermLanes<Number> cispo_lanes(const LossConstants& rule, const TokenLanes<Number>& token) {
  const Number zero(0.0f);
  const Number low(rule.ratio_low);
  const Number high = minimum(Number(rule.ratio_high), Number(rule.ratio_cap));
  TermLanes<Number> term = weighted_log_prob_lanes(token, minimum(maximum(token.ratio, low), high));
  const auto below = less(token.ratio, low);
  const auto above = less(high, token.ratio);
  term.low = both(below, less(token.advantage, zero));
  term.high = both(above, less(zero, token.advantage));
  term.bound = either(below, above);
  return term;
}

// KL(old || policy) of "this token or another"; 1 - p as -(e^log_prob - 1), which keeps its digits near p
// = 1.
template <typename Number>
ADJUDGE_DEVICE Number binary_kl_lanes(Number log_prob, Number old_log_prob) {
  const Number others = -exponential_minus_one(log_prob);
  const Number old_others = -exponential_minus_one(old_log_prob);
  const Number tiny(1e-8f);
  return exponential(old_log_prob) * (old_log_prob - log_prob) +
         old_others * logarithm((old_others + tiny) / (others + tiny));
}

template <typename Number>
ADJUDGE_DEVICE TermLanes<Number> dppo_lanes(const LossConstants& rule, const TokenLanes<Number>& token) {
  const Number zero(0.0f);
  const Number low(rule.clip_low);
  const Number high(rule.clip_high);
  const auto rises = less(zero, token.advantage);
  const Number bound = select(rises, high, low);
  auto inside = rises;
  if (rule.kind == LossKind::dppo_tv) {
    const Number change = exponential(token.log_prob) - exponential(token.old_log_prob);
    inside = at_most(select(rises, change, -change), bound);
  } else {
    const Number back =
        select(rises, token.log_prob - token.old_log_prob, token.old_log_prob - token.log_prob);
    inside = either(at_most(binary_kl_lanes(token.log_prob, token.old_log_prob), bound), at_most(back, zero));
  }
  const Number cap(rule.ratio_cap);
  const Number weight = select(inside, minimum(token.ratio, cap), zero);
  TermLanes<Number> term = weighted_log_prob_lanes(token, weight);
  const auto outside = opposite(inside);
  term.low = both(outside, opposite(rises));
  term.high = both(outside, rises);
  term.dual = both(inside, less(cap, token.ratio));
  term.bound = either(outside, term.dual);
  return term;
}

template <typename Number>
ADJUDGE_DEVICE TermLanes<Number> sapo_lanes(const LossConstants& rule, const TokenLanes<Number>& token) {
  const Number one(1.0f);
  const Number four(4.0f);
  const Number temperature = select(less(Number(0.0f), token.advantage), Number(rule.temperature_positive),
                                    Number(rule.temperature_negative));
  // 1 - gate is growth x gate, which keeps its digits where the gate is near 1.
  const Number growth = exponential(minimum(-temperature * (token.ratio - one), Number(40.0f)));
  const Number gate = one / (one + growth);
  TermLanes<Number> term = no_term<Number>();
  term.value = -token.advantage * gate * four / temperature;
  term.ratio_slope = -token.advantage * four * gate * (growth * gate);
  return term;
}

template <typename Number>
ADJUDGE_DEVICE TermLanes<Number> dro_lanes(const LossConstants& rule, const TokenLanes<Number>& token) {
  const Number difference = token.log_prob - token.old_log_prob;
  const Number coefficient(rule.quadratic_coefficient);
  TermLanes<Number> term = weighted_log_prob_lanes(token, Number(1.0f));
  term.value = term.value + coefficient * Number(0.5f) * difference * difference;
  term.log_prob_slope = term.log_prob_slope + coefficient * difference;
  return term;
}

// GMPO: the log ratio held on the side its advantage pushes to, and its slope (1 or 0).
template <typename Number>
struct HeldLanes {
  Number value;
  Number slope;
};

template <typename Number>
ADJUDGE_DEVICE HeldLanes<Number> held_log_ratio_lanes(const LossConstants& rule, Number log_ratio,
                                                      Number advantage) {
  const Number zero(0.0f);
  const Number one(1.0f);
  const Number low = -Number(rule.clip_low);
  const Number high(rule.clip_high);
  const auto rises = less(zero, advantage);
  const auto falls = less(advantage, zero);
  const Number value = select(rises, minimum(log_ratio, high), select(falls, maximum(log_ratio, low), zero));
  const auto free = either(both(rises, at_most(log_ratio, high)), both(falls, at_most(low, log_ratio)));
  return {value, select(free, one, zero)};
}

// GMPO's flags of a token; its value and slopes are the row's, see reference/policy_loss.cpp.
template <typename Number>
ADJUDGE_DEVICE TermLanes<Number> geometric_lanes(const LossConstants& rule, const TokenLanes<Number>& token) {
  const Number zero(0.0f);
  const Number log_ratio = token.log_prob - token.old_log_prob;
  const auto below = less(log_ratio, -Number(rule.clip_low));
  const auto above = less(Number(rule.clip_high), log_ratio);
  TermLanes<Number> term = no_term<Number>();
  term.low = both(below, less(token.advantage, zero));
  term.high = both(above, less(zero, token.advantage));
  term.bound = either(below, above);
  return term;
}

// `kind` is rule.kind; a constant where the caller has one.
template <typename Number>
ADJUDGE_DEVICE TermLanes<Number> loss_term_lanes(LossKind kind, const LossConstants& rule,
                                                 const TokenLanes<Number>& token) {
  switch (kind) {
    case LossKind::clip:
      return clip_lanes(rule, token);
    case LossKind::cispo:
      return cispo_lanes(rule, token);
    case LossKind::sapo:
      return sapo_lanes(rule, token);
    case LossKind::vespo:
      return weighted_log_prob_lanes(token, token.row_weight);
    case LossKind::gmpo:
      return geometric_lanes(rule, token);
    case LossKind::dppo_tv:
    case LossKind::dppo_kl:
      return dppo_lanes(rule, token);
    case LossKind::dro:
      return dro_lanes(rule, token);
    case LossKind::clip_cov:
      return clip_cov_lanes(rule, token);
    case LossKind::kl_cov:
      return kl_cov_lanes(rule, token);
    case LossKind::policy_gradient:
      break;
  }
  return weighted_log_prob_lanes(token, Number(1.0f));
}

}  // namespace adjudge::rl
