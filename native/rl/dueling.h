#pragma once

#include "rules/dueling.h"

namespace adjudge::rl {

template <typename Float>
void dueling_q(DuelingCentre centre, const DuelingShape& shape, const Float* values, const Float* advantages,
               Float* q);

// From dL/dQ to dL/dV and dL/dA. advantages decide where `max` takes its gradient (the first largest).
template <typename Float>
void dueling_gradients(DuelingCentre centre, const DuelingShape& shape, const Float* advantages,
                       const Float* q_gradients, Float* value_gradients, Float* advantage_gradients);

}  // namespace adjudge::rl
