#pragma once

#include "rules/dueling.h"

namespace adjudge::reference {

// See rl/dueling.h.
template <typename Float>
void dueling_q(rl::DuelingCentre centre, const rl::DuelingShape& shape, const Float* values,
               const Float* advantages, Float* q);

template <typename Float>
void dueling_gradients(rl::DuelingCentre centre, const rl::DuelingShape& shape, const Float* advantages,
                       const Float* q_gradients, Float* value_gradients, Float* advantage_gradients);

}  // namespace adjudge::reference
