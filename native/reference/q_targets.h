#pragma once

#include "rules/q_targets.h"

namespace adjudge::reference {

// See rl/q_targets.h.
template <typename Float>
void q_targets(const rl::QTargetRule& rule, const rl::QTargetBatch<Float>& batch, Float* targets);

}  // namespace adjudge::reference
