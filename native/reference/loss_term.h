#pragma once

#include <cmath>

// What a loss kind makes of one token: shared by the files of the kinds (loss_*.h).
namespace adjudge::reference {

struct LossToken {
  double log_prob;
  double old_log_prob;
  double ratio;
  double advantage;
  double row_log_weight;  // vespo: log of the row's ratio
  bool selected;          // clip_cov, kl_cov
};

struct LossTerm {
  double value = 0;
  double ratio_slope = 0;     // derivative with respect to the ratio
  double log_prob_slope = 0;  // with respect to the log-prob, the ratio held
  double weight = 1;          // weighted_log_prob: its weight
  bool low = false;           // clipped below with A < 0
  bool high = false;          // clipped above with A > 0
  bool dual = false;
  bool bound = false;  // the bounds change the ratio or stop the token, whatever A
};

// weight x -A x log_prob, the weight a constant for the gradient.
inline LossTerm weighted_log_prob(const LossToken& token, double weight) {
  LossTerm term;
  term.weight = weight;
  term.log_prob_slope = -weight * token.advantage;
  term.value = term.log_prob_slope * token.log_prob;
  return term;
}

}  // namespace adjudge::reference
