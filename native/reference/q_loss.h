#pragma once

#include "rules/q_loss.h"

namespace adjudge::reference {

// See rl/q_loss.h.
template <typename Float>
rl::QLossValue q_loss(const rl::QLossRule& rule, const rl::QLossBatch<Float>& batch);

}  // namespace adjudge::reference
