#pragma once

#include "rules/double_lane.h"
#include "rules/preference.h"

// The loss of one pair as a function of its two scores, and a completion's score as one of its log ratio: for
// one of them (double) or a vector of them. Papers and constants: src/rl/preferencePresets.ts.
namespace adjudge::rl {

// Within what every number type computes.
template <typename Number>
ADJUDGE_DEVICE Number bounded_exponential(Number x) {
  return exponential(minimum(maximum(x, Number(-708.0)), Number(709.0)));
}

// The logistic function of x and of -x, and their logs, from one exponential.
template <typename Number>
struct Logistic {
  Number value;
  Number complement;
  Number log_value;
  Number log_complement;
};

template <typename Number>
ADJUDGE_DEVICE Logistic<Number> logistic(Number x) {
  const Number zero(0.0);
  const Number e = bounded_exponential(-absolute(x));
  const Number large = Number(1.0) / (Number(1.0) + e);
  const Number small = e * large;
  const Number log_sum = log_of_one_plus(e);
  const auto negative = less(x, zero);
  return {select(negative, small, large), select(negative, large, small), minimum(x, zero) - log_sum,
          minimum(-x, zero) - log_sum};
}

template <typename Number>
struct Score {
  Number value;
  Number slope;  // with respect to the log ratio
};

// The derivative f'(ratio) of the divergence, its constants as in TRL's DPOTrainer. Exponents are limited, so
// that a score stays finite: at 80 for alpha (as TRL does in float32), at 700 for the forward KL.
template <typename Number>
ADJUDGE_DEVICE Score<Number> score_of(const PreferenceRule& rule, Number log_ratio) {
  const Number zero(0.0);
  if (rule.divergence == Divergence::forward_kl) {
    const Number limit(700.0);
    const Number e = bounded_exponential(minimum(-log_ratio, limit));
    return {Number(1.0) - e, select(at_most(-log_ratio, limit), e, zero)};
  }
  if (rule.divergence == Divergence::js_divergence) {
    const Logistic<Number> one = logistic(log_ratio);
    return {Number(0.6931471805599453) + one.log_value, one.complement};
  }
  const double power = rule.divergence_alpha - 1;
  if (rule.divergence == Divergence::alpha_divergence && absolute(power) >= 1e-6) {
    const Number limit(80.0);
    const Number exponent = Number(power) * log_ratio;
    const Number bounded = minimum(exponent, limit);
    return {exponential_minus_one(bounded) / Number(power),
            select(at_most(exponent, limit), bounded_exponential(bounded), zero)};
  }
  return {log_ratio, Number(1.0)};
}

template <typename Number>
struct PairLoss {
  Number value;
  Number chosen;  // derivative for the chosen completion's score
  Number rejected;
};

// A loss of x = beta x (chosen - rejected) - margin alone.
template <typename Number>
ADJUDGE_DEVICE PairLoss<Number> margin_loss(const PreferenceRule& rule, Number x) {
  const Number zero(0.0), one(1.0), beta(rule.beta);
  const Number flip(rule.label_smoothing), keep(1 - rule.label_smoothing);
  Number value, slope;
  if (rule.kind == PreferenceKind::hinge) {
    const auto within = less(x, one);
    value = select(within, one - x, zero);
    slope = select(within, -one, zero);
  } else if (rule.kind == PreferenceKind::discopop) {
    const Number temperature(rule.temperature);
    const Logistic<Number> blend = logistic(x / temperature);
    const Logistic<Number> pair = logistic(x);
    // w e^-x, in one exponent: far below 0 the one factor vanishes as the other overflows.
    const Number product = bounded_exponential(blend.log_value - x);
    value = product - blend.complement * pair.log_value;
    slope = blend.complement / temperature * (blend.value * pair.log_value + product) -
            blend.complement * pair.complement - product;
  } else {
    const Logistic<Number> pair = logistic(x);
    if (rule.kind == PreferenceKind::robust) {
      const Number scale(1 / (1 - 2 * rule.label_smoothing));
      value = scale * (flip * pair.log_complement - keep * pair.log_value);
      slope = -(scale * (keep * pair.complement + flip * pair.value));
    } else if (rule.kind == PreferenceKind::exo_pair) {
      const Number log_keep(log1p(-rule.label_smoothing)), log_flip(log(rule.label_smoothing));
      value = pair.value * (pair.log_value - log_keep) + pair.complement * (pair.log_complement - log_flip);
      slope = pair.value * pair.complement * (x - log_keep + log_flip);
    } else {  // sigmoid, aot
      value = -(keep * pair.log_value + flip * pair.log_complement);
      slope = flip * pair.value - keep * pair.complement;
    }
  }
  return {value, slope * beta, -(slope * beta)};
}

template <typename Number>
ADJUDGE_DEVICE PairLoss<Number> pair_loss(const PreferenceRule& rule, Number chosen, Number rejected,
                                          Number margin) {
  const Number beta(rule.beta), half(0.5), two(2.0), centre(0.5 / rule.beta);
  switch (rule.kind) {
    case PreferenceKind::ipo: {
      const Number error = chosen - rejected - centre;
      return {error * error, two * error, -(two * error)};
    }
    case PreferenceKind::nca_pair: {
      const Logistic<Number> u = logistic(beta * chosen), v = logistic(beta * rejected);
      return {-(u.log_value + half * (u.log_complement + v.log_complement)),
              beta * (half * u.value - u.complement), beta * half * v.value};
    }
    case PreferenceKind::bco_pair: {
      const Logistic<Number> u = logistic(beta * chosen), v = logistic(beta * rejected);
      return {-(u.log_value + v.log_complement), -(beta * u.complement), beta * v.value};
    }
    case PreferenceKind::sppo_hard: {
      const Number winner = chosen - centre, loser = rejected + centre;
      return {winner * winner + loser * loser, two * winner, two * loser};
    }
    case PreferenceKind::apo_zero: {
      const Logistic<Number> u = logistic(beta * chosen), v = logistic(beta * rejected);
      return {u.complement + v.value, -(beta * u.value * u.complement), beta * v.value * v.complement};
    }
    case PreferenceKind::apo_down: {
      const Logistic<Number> u = logistic(beta * chosen);
      const Logistic<Number> gap = logistic(beta * chosen - beta * rejected);
      const Number bell = beta * gap.value * gap.complement;
      return {u.value + gap.complement, beta * u.value * u.complement - bell, bell};
    }
    default:
      return margin_loss(rule, beta * chosen - beta * rejected - Number(rule.target_margin) - margin);
  }
}

template <typename Number>
struct OddsLoss {
  Number log_odds;
  Number log_sigmoid_odds;
  PairLoss<Number> pair;
};

// -beta log sigmoid(log of odds(chosen) / odds(rejected)); both mean log-probs below 0.
template <typename Number>
ADJUDGE_DEVICE OddsLoss<Number> odds_loss(const PreferenceRule& rule, Number chosen, Number rejected) {
  const Number beta(rule.beta);
  const Number chosen_rest = -exponential_minus_one(chosen), rejected_rest = -exponential_minus_one(rejected);
  const Number log_odds = (chosen - rejected) - (logarithm(chosen_rest) - logarithm(rejected_rest));
  const Logistic<Number> odds = logistic(log_odds);
  const Number slope = beta * odds.complement;
  return {
      log_odds, odds.log_value, {-(beta * odds.log_value), -(slope / chosen_rest), slope / rejected_rest}};
}

// KTO (Ethayarajh et al. 2024, equation 7), of one completion against the baseline. `side`: 1 = desirable,
// -1.
template <typename Number>
ADJUDGE_DEVICE Score<Number> single_loss(const PreferenceRule& rule, Number score, Number baseline,
                                         Number side) {
  const Number slope = side * Number(rule.beta);
  const Logistic<Number> x = logistic(slope * (score - baseline));
  return {x.complement, -(slope * x.value * x.complement)};
}

}  // namespace adjudge::rl
