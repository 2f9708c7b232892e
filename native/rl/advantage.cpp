#include "rl/advantage.h"

#include "reference/advantage.h"

namespace adjudge::rl {

template <typename Float>
AdvantageMetrics compute_advantages(const AdvantageRule& rule, const AdvantageBatch<Float>& batch,
                                    Float* advantages, Float* returns) {
  return reference::compute_advantages(rule, batch, advantages, returns);
}

template AdvantageMetrics compute_advantages(const AdvantageRule&, const AdvantageBatch<float>&, float*,
                                             float*);
template AdvantageMetrics compute_advantages(const AdvantageRule&, const AdvantageBatch<double>&, double*,
                                             double*);

}  // namespace adjudge::rl
