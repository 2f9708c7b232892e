#include "device/rl.h"

#include "device/dispatch.h"
#include "device/upload.h"

namespace adjudge::device {
template <>
rl::AdvantageMetrics compute_advantages(Choice choice, const rl::AdvantageRule& rule,
                                        const rl::AdvantageBatch<float>& batch, float* advantages,
                                        float* returns) {
  const std::size_t completions = covered(batch.group_offsets, batch.groups);
  const std::size_t tokens = covered(batch.cu_seqlens, completions);
  const std::size_t values = rl::advantages_per_token(rule, batch) ? tokens : completions;
  const std::size_t arrays = (batch.values != nullptr) + (batch.log_probs != nullptr) +
                             (batch.penalties != nullptr) + (batch.sum_pi_squared != nullptr) +
                             (returns != nullptr);
  rl::AdvantageMetrics metrics;
  dispatch(
      choice, "advantages",
      bytes_of(1, values) + bytes_of(arrays, tokens) + bytes_of(batch.functions, completions),
      [&](Session& session) {
        cuda::Fault fault;
        const auto there = upload(session, batch);
        float* const advantages_there = session.out(advantages, values);
        float* const returns_there = session.out(returns, tokens);
        auto* const metrics_there = session.out(&metrics, 1);
        auto* const fault_there = session.out(&fault, 1);
        const cuda::Extent extent{static_cast<std::int64_t>(completions), static_cast<std::int64_t>(tokens)};
        return run(session, "advantages", session.kernels().advantages, &fault,
                   [&](auto& kernel, auto& launch) {
                     return kernel(rule, there, extent, advantages_there, returns_there, metrics_there,
                                   fault_there, launch);
                   });
      },
      [&] { metrics = rl::compute_advantages(rule, batch, advantages, returns); });
  return metrics;
}

template <>
rl::AdvantageMetrics compute_advantages(Choice choice, const rl::AdvantageRule& rule,
                                        const rl::AdvantageBatch<double>& batch, double* advantages,
                                        double* returns) {
  runs_on_cuda(choice, 0, false);
  return rl::compute_advantages(rule, batch, advantages, returns);
}

}  // namespace adjudge::device
