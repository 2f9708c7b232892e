#pragma once

#include <cmath>

#include "reference/loss_term.h"
#include "rules/policy_loss.h"

// Losses without a kink: sapo, dro.
namespace adjudge::reference {

using namespace rl;

// SAPO (arXiv 2511.20347): -A (4 / tau) sigmoid(tau (r - 1)), slope -A at r = 1.
inline LossTerm sapo_term(const LossRule& rule, const LossToken& token) {
  const double temperature = token.advantage > 0 ? rule.temperature_positive : rule.temperature_negative;
  const double gate = 1 / (1 + std::exp(-temperature * (token.ratio - 1)));
  LossTerm term;
  term.value = -token.advantage * gate * 4 / temperature;
  term.ratio_slope = -token.advantage * 4 * gate * (1 - gate);
  return term;
}

// DRO (Richemond et al. 2024, arXiv 2405.19107), its policy side: -A log_prob + beta / 2 (log_prob - old)^2.
inline LossTerm dro_term(const LossRule& rule, const LossToken& token) {
  const double difference = token.log_prob - token.old_log_prob;
  LossTerm term = weighted_log_prob(token, 1);
  term.value += rule.quadratic_coefficient / 2 * difference * difference;
  term.log_prob_slope += rule.quadratic_coefficient * difference;
  return term;
}

}  // namespace adjudge::reference
