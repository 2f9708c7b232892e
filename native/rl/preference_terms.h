// The loss of one pair as a function of its two scores, and a completion's score as one of its log ratio.
#pragma once

#include <algorithm>
#include <cmath>

#include "rl/preference_loss.h"

namespace adjudge::rl {

inline double sigmoid(double x) {
  if (x >= 0) return 1 / (1 + std::exp(-x));
  const double e = std::exp(x);
  return e / (1 + e);
}

inline double log_sigmoid(double x) {
  return x >= 0 ? -std::log1p(std::exp(-x)) : x - std::log1p(std::exp(x));
}

struct Score {
  double value;
  double slope;  // with respect to the log ratio
};

// The derivative f'(ratio) of the divergence, its constants as in TRL's DPOTrainer. Exponents are limited, so
// that a score stays finite: at 80 for alpha (as TRL does in float32), at 700 for the forward KL.
inline Score score_of(const PreferenceRule& rule, double log_ratio) {
  switch (rule.divergence) {
    case Divergence::reverse_kl:
      break;
    case Divergence::forward_kl: {
      const double e = std::exp(std::min(-log_ratio, 700.0));
      return {1 - e, -log_ratio <= 700 ? e : 0};
    }
    case Divergence::js_divergence:
      return {std::log(2.0) + log_sigmoid(log_ratio), sigmoid(-log_ratio)};
    case Divergence::alpha_divergence: {
      const double power = rule.divergence_alpha - 1;
      if (std::abs(power) < 1e-6) break;
      const double exponent = std::min(power * log_ratio, 80.0);
      return {std::expm1(exponent) / power, power * log_ratio <= 80 ? std::exp(exponent) : 0};
    }
  }
  return {log_ratio, 1};
}

struct PairLoss {
  double value;
  double chosen;  // derivative for the chosen completion's score
  double rejected;
};

// A loss of x = beta x (chosen - rejected) - margin alone.
inline PairLoss margin_loss(const PreferenceRule& rule, double x) {
  const double smoothing = rule.label_smoothing;
  double value = 0;
  double slope = 0;
  switch (rule.kind) {
    case PreferenceKind::hinge:
      if (x < 1) {
        value = 1 - x;
        slope = -1;
      }
      break;
    case PreferenceKind::robust: {
      const double scale = 1 / (1 - 2 * smoothing);
      value = scale * (-(1 - smoothing) * log_sigmoid(x) + smoothing * log_sigmoid(-x));
      slope = scale * (-(1 - smoothing) * sigmoid(-x) - smoothing * sigmoid(x));
      break;
    }
    case PreferenceKind::exo_pair: {
      const double log_keep = std::log1p(-smoothing);
      const double log_flip = std::log(smoothing);
      const double q = sigmoid(x);
      const double p = sigmoid(-x);
      value = q * (log_sigmoid(x) - log_keep) + p * (log_sigmoid(-x) - log_flip);
      slope = q * p * (x - log_keep + log_flip);
      break;
    }
    case PreferenceKind::discopop: {
      const double scaled = x / rule.temperature;
      const double w = sigmoid(scaled);
      const double rest = sigmoid(-scaled);
      // w e^-x, in one exponent: far below 0 the one factor vanishes as the other overflows.
      const double product = std::exp(log_sigmoid(scaled) - x);
      value = -rest * log_sigmoid(x) + product;
      slope = rest / rule.temperature * (w * log_sigmoid(x) + product) - rest * sigmoid(-x) - product;
      break;
    }
    default:  // sigmoid, aot
      value = -(1 - smoothing) * log_sigmoid(x) - smoothing * log_sigmoid(-x);
      slope = -(1 - smoothing) * sigmoid(-x) + smoothing * sigmoid(x);
  }
  return {value, slope * rule.beta, -slope * rule.beta};
}

inline PairLoss pair_loss(const PreferenceRule& rule, double chosen, double rejected, double margin) {
  const double beta = rule.beta;
  const double u = beta * chosen;
  const double v = beta * rejected;
  const auto bell = [](double x) { return sigmoid(x) * sigmoid(-x); };
  switch (rule.kind) {
    case PreferenceKind::ipo: {
      const double error = chosen - rejected - 1 / (2 * beta);
      return {error * error, 2 * error, -2 * error};
    }
    case PreferenceKind::nca_pair:
      return {-log_sigmoid(u) - 0.5 * log_sigmoid(-u) - 0.5 * log_sigmoid(-v),
              beta * (0.5 * sigmoid(u) - sigmoid(-u)), beta * 0.5 * sigmoid(v)};
    case PreferenceKind::bco_pair:
      return {-log_sigmoid(u) - log_sigmoid(-v), -beta * sigmoid(-u), beta * sigmoid(v)};
    case PreferenceKind::sppo_hard: {
      const double winner = chosen - 0.5 / beta;
      const double loser = rejected + 0.5 / beta;
      return {winner * winner + loser * loser, 2 * winner, 2 * loser};
    }
    case PreferenceKind::apo_zero:
      return {sigmoid(-u) + sigmoid(v), -beta * bell(u), beta * bell(v)};
    case PreferenceKind::apo_down:
      return {sigmoid(u) + sigmoid(v - u), beta * (bell(u) - bell(u - v)), beta * bell(u - v)};
    default:
      return margin_loss(rule, u - v - rule.target_margin - margin);
  }
}

// log(1 - e^x) for x < 0, without cancellation near 0 and far below it.
inline double log_one_minus_exp(double x) {
  return x > -0.6931471805599453 ? std::log(-std::expm1(x)) : std::log1p(-std::exp(x));
}

struct OddsLoss {
  double log_odds;
  PairLoss pair;
};

// -beta log sigmoid(log of odds(chosen) / odds(rejected)); both mean log-probs below 0.
inline OddsLoss odds_loss(const PreferenceRule& rule, double chosen, double rejected) {
  const double log_odds = (chosen - rejected) - (log_one_minus_exp(chosen) - log_one_minus_exp(rejected));
  const double slope = -rule.beta * sigmoid(-log_odds);
  return {log_odds,
          {-rule.beta * log_sigmoid(log_odds), slope / -std::expm1(chosen), -slope / -std::expm1(rejected)}};
}

}  // namespace adjudge::rl
