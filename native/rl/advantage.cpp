#include "rl/advantage.h"

#include "cpu/group_advantages.h"
#include "reference/advantage.h"

namespace adjudge::rl {

template <>
AdvantageMetrics compute_advantages(const AdvantageRule& rule, const AdvantageBatch<double>& batch,
                                    double* advantages, double* returns) {
  return reference::compute_advantages(rule, batch, advantages, returns);
}

// The reference also says what is wrong with a batch that the kernels refuse.
template <>
AdvantageMetrics compute_advantages(const AdvantageRule& rule, const AdvantageBatch<float>& batch,
                                    float* advantages, float* returns) {
  AdvantageMetrics metrics;
  if (group_advantages_apply(rule, batch) && group_advantages(rule, batch, advantages, metrics)) {
    return metrics;
  }
  return reference::compute_advantages(rule, batch, advantages, returns);
}

}  // namespace adjudge::rl
