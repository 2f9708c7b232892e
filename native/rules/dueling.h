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

}  // namespace adjudge::rl
