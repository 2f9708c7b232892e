#include <vector>

#include "native/cpu/q.h"
#include "native/cpu/q_items.h"

namespace adjudge {

void dueling_q(rl::DuelingCentre centre, const rl::DuelingShape& shape, const float* values,
               const float* advantages, float* q) {
  QItems(shape.steps, shape.actions * shape.quantiles).run([&](int64_t, int64_t first, int64_t end) {
    std::vector<double> scratch(2 * shape.quantiles);
    q_kernels().dueling_q(centre, shape, values, advantages, q, first, end, scratch.data());
  });
}

void dueling_gradients(rl::DuelingCentre centre, const rl::DuelingShape& shape, const float* advantages,
                       const float* q_gradients, float* value_gradients, float* advantage_gradients) {
  QItems(shape.steps, shape.actions * shape.quantiles).run([&](int64_t, int64_t first, int64_t end) {
    std::vector<double> scratch(2 * shape.quantiles);
    q_kernels().dueling_gradients(centre, shape, advantages, q_gradients, value_gradients,
                                  advantage_gradients, first, end, scratch.data());
  });
}

}  // namespace adjudge
