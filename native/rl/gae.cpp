#include "rl/gae.h"

#include "cpu/gae.h"
#include "reference/gae.h"

namespace adjudge::rl {

template <>
void gae(const GaeRule& rule, const GaeBatch<float>& batch, float* advantages, float* returns) {
  adjudge::gae(rule, batch, advantages, returns);
}

template <>
void gae(const GaeRule& rule, const GaeBatch<double>& batch, double* advantages, double* returns) {
  reference::gae(rule, batch, advantages, returns);
}

}  // namespace adjudge::rl
