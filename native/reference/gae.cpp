#include "reference/gae.h"

#include <algorithm>

namespace adjudge::reference {

template <typename Float>
void gae(const rl::GaeRule& rule, const rl::GaeBatch<Float>& batch, Float* advantages, Float* returns) {
  const std::int32_t tokens = batch.cu_seqlens[batch.rows];
  if (batch.mask) {
    std::fill_n(advantages, tokens, Float{0});
    std::fill_n(returns, tokens, Float{0});
  }
  for (std::size_t i = 0; i < batch.rows; ++i) {
    rl::gae_sequence(
        rule, batch.cu_seqlens[i], batch.cu_seqlens[i + 1],
        batch.bootstrap_values ? batch.bootstrap_values[i] : 0.0,
        [&](std::int32_t t) { return static_cast<double>(batch.rewards[t]); },
        [&](std::int32_t t) { return static_cast<double>(batch.values[t]); },
        [&](std::int32_t t) { return !batch.mask || batch.mask[t]; },
        [&](std::int32_t t, double advantage, double target) {
          advantages[t] = static_cast<Float>(advantage);
          returns[t] = static_cast<Float>(target);
        });
  }
}

template void gae<float>(const rl::GaeRule&, const rl::GaeBatch<float>&, float*, float*);
template void gae<double>(const rl::GaeRule&, const rl::GaeBatch<double>&, double*, double*);

}  // namespace adjudge::reference
