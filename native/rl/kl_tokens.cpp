#include "rl/kl_tokens.h"

#include "cpu/kl.h"
#include "reference/kl_tokens.h"

namespace adjudge::rl {

template <>
void kl_tokens(const KlRule& rule, const KlTokensBatch<double>& batch, double* values, double* gradients) {
  reference::kl_tokens(rule, batch, values, gradients);
}

template <>
void kl_tokens(const KlRule& rule, const KlTokensBatch<float>& batch, float* values, float* gradients) {
  adjudge::kl_tokens(rule, batch, values, gradients);
}

}  // namespace adjudge::rl
