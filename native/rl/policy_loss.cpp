#include "rl/policy_loss.h"

#include "reference/policy_loss.h"

namespace adjudge::rl {

template <typename Float>
LossValue policy_loss(const LossRule& rule, const LossBatch<Float>& batch, Float* log_prob_gradients,
                      Float* entropy_gradients) {
  return reference::policy_loss(rule, batch, log_prob_gradients, entropy_gradients);
}

template LossValue policy_loss(const LossRule&, const LossBatch<float>&, float*, float*);
template LossValue policy_loss(const LossRule&, const LossBatch<double>&, double*, double*);

}  // namespace adjudge::rl
