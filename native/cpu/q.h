// Q-learning on the processor, f32; see native/rl/{q_targets,q_loss,dueling,polyak}.h. Results do not depend
// on the number of threads.
#pragma once

#include "native/rules/dueling.h"
#include "native/rules/q_loss.h"
#include "native/rules/q_targets.h"

namespace adjudge {

// False where the data is at fault, or a number is beyond f32: the body in native/reference says where.
bool q_targets(const rl::QTargetRule& rule, const rl::QTargetBatch<float>& batch, float* targets);
bool q_loss(const rl::QLossRule& rule, const rl::QLossBatch<float>& batch, rl::QLossValue& value);

void dueling_q(rl::DuelingCentre centre, const rl::DuelingShape& shape, const float* values,
               const float* advantages, float* q);
void dueling_gradients(rl::DuelingCentre centre, const rl::DuelingShape& shape, const float* advantages,
                       const float* q_gradients, float* value_gradients, float* advantage_gradients);

}  // namespace adjudge
