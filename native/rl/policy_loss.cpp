#include "rl/policy_loss.h"

#include "reference/policy_loss.h"

namespace adjudge::rl {

template <>
LossValue policy_loss(const LossRule& rule, const LossBatch<double>& batch, double* log_prob_gradients,
                      double* entropy_gradients) {
  return reference::policy_loss(rule, batch, log_prob_gradients, entropy_gradients);
}

template <>
LossValue policy_loss(const LossRule& rule, const LossBatch<float>& batch, float* log_prob_gradients,
                      float* entropy_gradients) {
  return policy_loss_vectors(rule, batch, log_prob_gradients, entropy_gradients);
}

}  // namespace adjudge::rl
