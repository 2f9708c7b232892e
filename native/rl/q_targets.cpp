#include "rl/q_targets.h"

#include "cpu/q.h"
#include "reference/q_targets.h"

namespace adjudge::rl {

template <>
void q_targets(const QTargetRule& rule, const QTargetBatch<float>& batch, float* targets) {
  if (!adjudge::q_targets(rule, batch, targets)) reference::q_targets(rule, batch, targets);
}

template <>
void q_targets(const QTargetRule& rule, const QTargetBatch<double>& batch, double* targets) {
  reference::q_targets(rule, batch, targets);
}

}  // namespace adjudge::rl
