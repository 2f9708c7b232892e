#include "rl/kl_rows.h"

#include "cpu/kl_rows.h"
#include "reference/kl_rows.h"

namespace adjudge::rl {

template <>
void kl_rows(KlDirection direction, const KlRowsBatch<double>& batch, double* values, double* gradients) {
  reference::kl_rows(direction, batch, values, gradients);
}

template <>
void kl_rows(KlDirection direction, const KlRowsBatch<float>& batch, float* values, float* gradients) {
  adjudge::kl_rows(direction, batch, values, gradients);
}

}  // namespace adjudge::rl
