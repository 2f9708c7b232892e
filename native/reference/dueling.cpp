#include "reference/dueling.h"

namespace adjudge::reference {

using rl::DuelingCentre;
using rl::DuelingShape;

namespace {

// Element k of action a in step t lies at start + a * quantiles.
template <typename Float>
double sum_over_actions(const DuelingShape& shape, const Float* values, std::size_t start) {
  double sum = 0;
  for (std::size_t a = 0; a < shape.actions; ++a) sum += values[start + a * shape.quantiles];
  return sum;
}

template <typename Float>
std::size_t largest_action(const DuelingShape& shape, const Float* values, std::size_t start) {
  std::size_t largest = 0;
  for (std::size_t a = 1; a < shape.actions; ++a) {
    if (values[start + a * shape.quantiles] > values[start + largest * shape.quantiles]) largest = a;
  }
  return largest;
}

}  // namespace

template <typename Float>
void dueling_q(DuelingCentre centre, const DuelingShape& shape, const Float* values, const Float* advantages,
               Float* q) {
  for (std::size_t t = 0; t < shape.steps; ++t) {
    for (std::size_t k = 0; k < shape.quantiles; ++k) {
      const std::size_t start = t * shape.actions * shape.quantiles + k;
      const double offset =
          centre == DuelingCentre::mean
              ? sum_over_actions(shape, advantages, start) / static_cast<double>(shape.actions)
              : static_cast<double>(
                    advantages[start + largest_action(shape, advantages, start) * shape.quantiles]);
      const double base = values[t * shape.quantiles + k] - offset;
      for (std::size_t a = 0; a < shape.actions; ++a) {
        const std::size_t index = start + a * shape.quantiles;
        q[index] = static_cast<Float>(base + advantages[index]);
      }
    }
  }
}

template <typename Float>
void dueling_gradients(DuelingCentre centre, const DuelingShape& shape, const Float* advantages,
                       const Float* q_gradients, Float* value_gradients, Float* advantage_gradients) {
  for (std::size_t t = 0; t < shape.steps; ++t) {
    for (std::size_t k = 0; k < shape.quantiles; ++k) {
      const std::size_t start = t * shape.actions * shape.quantiles + k;
      const double sum = sum_over_actions(shape, q_gradients, start);
      value_gradients[t * shape.quantiles + k] = static_cast<Float>(sum);
      const bool mean = centre == DuelingCentre::mean;
      const std::size_t largest = mean ? shape.actions : largest_action(shape, advantages, start);
      for (std::size_t a = 0; a < shape.actions; ++a) {
        const double share = mean ? sum / static_cast<double>(shape.actions) : (a == largest ? sum : 0.0);
        const std::size_t index = start + a * shape.quantiles;
        advantage_gradients[index] = static_cast<Float>(q_gradients[index] - share);
      }
    }
  }
}

#define ADJUDGE_INSTANTIATE(Float)                                                                        \
  template void dueling_q(DuelingCentre, const DuelingShape&, const Float*, const Float*, Float*);        \
  template void dueling_gradients(DuelingCentre, const DuelingShape&, const Float*, const Float*, Float*, \
                                  Float*);
ADJUDGE_INSTANTIATE(float)
ADJUDGE_INSTANTIATE(double)
#undef ADJUDGE_INSTANTIATE

}  // namespace adjudge::reference
