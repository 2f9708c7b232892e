#include "rl/value_loss.h"

#include "cpu/value_loss.h"
#include "reference/value_loss.h"

namespace adjudge::rl {

template <>
ValueLossResult value_loss(const ValueRule& rule, const ValueBatch<double>& batch, double* gradients) {
  return reference::value_loss(rule, batch, gradients);
}

template <>
ValueLossResult value_loss(const ValueRule& rule, const ValueBatch<float>& batch, float* gradients) {
  return adjudge::value_loss(rule, batch, gradients);
}

}  // namespace adjudge::rl
