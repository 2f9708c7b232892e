#pragma once

#include "rules/q_loss.h"

namespace adjudge::rl {

// Throws ARGUMENT_INVALID, naming array and index, for a counted value that is not finite or an action out of
// range.
template <typename Float>
QLossValue q_loss(const QLossRule& rule, const QLossBatch<Float>& batch);

}  // namespace adjudge::rl
