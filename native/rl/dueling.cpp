#include "rl/dueling.h"

#include "cpu/q.h"
#include "reference/dueling.h"

namespace adjudge::rl {

template <>
void dueling_q(DuelingCentre centre, const DuelingShape& shape, const float* values, const float* advantages,
               float* q) {
  adjudge::dueling_q(centre, shape, values, advantages, q);
}

template <>
void dueling_q(DuelingCentre centre, const DuelingShape& shape, const double* values,
               const double* advantages, double* q) {
  reference::dueling_q(centre, shape, values, advantages, q);
}

template <>
void dueling_gradients(DuelingCentre centre, const DuelingShape& shape, const float* advantages,
                       const float* q_gradients, float* value_gradients, float* advantage_gradients) {
  adjudge::dueling_gradients(centre, shape, advantages, q_gradients, value_gradients, advantage_gradients);
}

template <>
void dueling_gradients(DuelingCentre centre, const DuelingShape& shape, const double* advantages,
                       const double* q_gradients, double* value_gradients, double* advantage_gradients) {
  reference::dueling_gradients(centre, shape, advantages, q_gradients, value_gradients, advantage_gradients);
}

}  // namespace adjudge::rl
