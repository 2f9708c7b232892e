#include "reference/kl_tokens.h"

#include "rules/kl_terms.h"

namespace adjudge::reference {

template <typename Float>
void kl_tokens(const rl::KlRule& rule, const rl::KlTokensBatch<Float>& batch, Float* values,
               Float* gradients) {
  for (std::size_t t = 0; t < batch.tokens; ++t) {
    values[t] = gradients[t] = 0;
    if (batch.mask && !batch.mask[t]) continue;
    const double log_prob = batch.log_probs[t];
    const double old_log_prob = batch.old_log_probs ? batch.old_log_probs[t] : log_prob;
    const auto kl = rl::kl_divergence(rule, log_prob, batch.reference_log_probs[t], old_log_prob);
    values[t] = static_cast<Float>(kl.value);
    gradients[t] = static_cast<Float>(kl.gradient);
  }
}

template void kl_tokens(const rl::KlRule&, const rl::KlTokensBatch<float>&, float*, float*);
template void kl_tokens(const rl::KlRule&, const rl::KlTokensBatch<double>&, double*, double*);

}  // namespace adjudge::reference
