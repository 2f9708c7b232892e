#pragma once

#include "rules/q_targets.h"

namespace adjudge::rl {

// targets: [steps, quantiles]. Throws ARGUMENT_INVALID, naming array and index, for a value that is needed
// and not finite, and for a next state without an allowed action.
template <typename Float>
void q_targets(const QTargetRule& rule, const QTargetBatch<Float>& batch, Float* targets);

}  // namespace adjudge::rl
