#pragma once

#include <cstddef>

// Dueling heads (Wang et al. 2016): Q(s, a) = V(s) + A(s, a) − c(s), c the mean of A over the actions, or the
// largest.
namespace adjudge::rl {

enum class DuelingCentre { mean, max };

// V: [steps, quantiles]; A and Q: [steps, actions, quantiles]. Rows of the batch.
struct DuelingShape {
  std::size_t steps = 0;
  std::size_t actions = 0;
  std::size_t quantiles = 1;
};

template <typename Float>
void dueling_q(DuelingCentre centre, const DuelingShape& shape, const Float* values, const Float* advantages,
               Float* q);

// From dL/dQ to dL/dV and dL/dA. advantages decide where `max` takes its gradient (the first largest).
template <typename Float>
void dueling_gradients(DuelingCentre centre, const DuelingShape& shape, const Float* advantages,
                       const Float* q_gradients, Float* value_gradients, Float* advantage_gradients);

}  // namespace adjudge::rl
