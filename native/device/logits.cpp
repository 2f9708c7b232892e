#include "rl/logits.h"

#include "device/dispatch.h"
#include "device/rl.h"
#include "device/upload.h"

namespace adjudge::device {

template <>
void logits_statistics(Choice choice, const rl::LogitsBatch<float>& batch,
                       const rl::LogitsStatistics<float>& statistics) {
  dispatch(
      choice, "logits_statistics", bytes_of(1, batch.rows * batch.width),
      [&](Session& session) {
        cuda::Fault fault;
        const auto there = upload(session, batch);
        rl::LogitsStatistics<float> results = statistics;
        const std::size_t top = batch.rows * statistics.top_k;
        results.log_probs = session.out(statistics.log_probs, batch.rows);
        results.entropies = session.out(statistics.entropies, batch.rows);
        results.log_sum_exp = session.out(statistics.log_sum_exp, batch.rows);
        results.sum_pi_squared = session.out(statistics.sum_pi_squared, batch.rows);
        results.top_tokens = session.out(statistics.top_tokens, top);
        results.top_log_probs = session.out(statistics.top_log_probs, top);
        auto* const fault_there = session.out(&fault, 1);
        return run(session, "logits_statistics", session.kernels().logits_statistics, &fault,
                   [&](auto& kernel, auto& launch) { return kernel(there, results, fault_there, launch); });
      },
      [&] { rl::logits_statistics(batch, statistics); });
}

template <>
void logits_statistics(Choice choice, const rl::LogitsBatch<double>& batch,
                       const rl::LogitsStatistics<double>& statistics) {
  runs_on_cuda(choice, 0, false);
  rl::logits_statistics(batch, statistics);
}

template <>
void logits_gradient(Choice choice, const rl::LogitsBatch<float>& batch,
                     const rl::LogitsCoefficients<float>& coefficients, float* gradients) {
  const std::size_t numbers = batch.rows * batch.width;
  dispatch(
      choice, "logits_gradient", bytes_of(2, numbers),
      [&](Session& session) {
        cuda::Fault fault;
        const auto there = upload(session, batch);
        cuda::LogitsGradient wanted;
        wanted.coefficients.log_prob_gradients = session.in(coefficients.log_prob_gradients, batch.rows);
        wanted.coefficients.entropy_gradients = session.in(coefficients.entropy_gradients, batch.rows);
        wanted.gradients = session.out(gradients, numbers);
        auto* const fault_there = session.out(&fault, 1);
        return run(session, "logits_gradient", session.kernels().logits_gradient, &fault,
                   [&](auto& kernel, auto& launch) { return kernel(there, wanted, fault_there, launch); });
      },
      [&] { rl::logits_gradient(batch, coefficients, gradients); });
}

template <>
void logits_gradient(Choice choice, const rl::LogitsBatch<double>& batch,
                     const rl::LogitsCoefficients<double>& coefficients, double* gradients) {
  runs_on_cuda(choice, 0, false);
  rl::logits_gradient(batch, coefficients, gradients);
}

}  // namespace adjudge::device
