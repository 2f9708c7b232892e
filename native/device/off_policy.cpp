#include "device/dispatch.h"
#include "device/rl.h"
#include "device/upload.h"

namespace adjudge::device {

template <>
rl::WeightMetrics importance_weights(Choice choice, const rl::WeightRule& rule,
                                     const rl::RolloutBatch<float>& batch, float* weights, float* sequences) {
  const std::size_t tokens = covered(batch.cu_seqlens, batch.rows);
  rl::WeightMetrics metrics;
  dispatch(
      choice, "importanceWeights", 3 * tokens * sizeof(float),
      [&](Session& session) {
        const auto there = upload(session, batch);
        float* const weights_there = session.out(weights, tokens);
        float* const sequences_there = session.out(sequences, batch.rows);
        auto* const metrics_there = session.out(&metrics, 1);
        return run(session, "importance_weights", session.kernels().importance_weights, nullptr,
                   [&](auto& kernel, auto& launch) {
                     return kernel(rule, there, static_cast<std::int64_t>(tokens), weights_there,
                                   sequences_there, metrics_there, launch);
                   });
      },
      [&] { metrics = rl::importance_weights(rule, batch, weights, sequences); });
  return metrics;
}

template <>
rl::WeightMetrics importance_weights(Choice choice, const rl::WeightRule& rule,
                                     const rl::RolloutBatch<double>& batch, double* weights,
                                     double* sequences) {
  runs_on_cuda(choice, 0, false);
  return rl::importance_weights(rule, batch, weights, sequences);
}

template <>
rl::RejectionShares rejection_mask(Choice choice, const rl::RejectionRule& rule,
                                   const rl::RolloutBatch<float>& batch, std::uint8_t* mask,
                                   std::uint8_t* keep, rl::CriterionMetrics* criteria) {
  const std::size_t tokens = covered(batch.cu_seqlens, batch.rows);
  rl::RejectionShares shares;
  dispatch(
      choice, "rejectionMask", 2 * tokens * (sizeof(float) + 1),
      [&](Session& session) {
        auto* const kernel = session.kernels().rejection;
        if (!kernel) return Outcome::no_kernel;
        rl::keep_counted(batch, mask, keep);
        const auto there = upload(session, batch);
        std::uint8_t* const mask_there = session.in_out(mask, tokens);
        std::uint8_t* const keep_there = session.in_out(keep, batch.rows);
        auto* const criteria_there = session.out(criteria, rule.criteria.size());
        for (std::size_t i = 0; i < rule.criteria.size(); ++i) {
          const bool launched = session.launch("rejection", [&](cuda::Launch& launch) {
            return kernel(rule.criteria[i], rule.log_ratio_limit, rule.count_epsilon, there,
                          static_cast<std::int64_t>(tokens), mask_there, keep_there, criteria_there + i,
                          launch);
          });
          if (!launched) return Outcome::no_kernel;
        }
        session.finish();
        shares = rl::rejected_shares(batch, rule.count_epsilon, mask);
        return Outcome::done;
      },
      [&] { shares = rl::rejection_mask(rule, batch, mask, keep, criteria); });
  return shares;
}

template <>
rl::RejectionShares rejection_mask(Choice choice, const rl::RejectionRule& rule,
                                   const rl::RolloutBatch<double>& batch, std::uint8_t* mask,
                                   std::uint8_t* keep, rl::CriterionMetrics* criteria) {
  runs_on_cuda(choice, 0, false);
  return rl::rejection_mask(rule, batch, mask, keep, criteria);
}

template <>
rl::MismatchMetrics mismatch_metrics(Choice choice, const rl::RolloutBatch<float>& batch) {
  const std::size_t tokens = covered(batch.cu_seqlens, batch.rows);
  rl::MismatchMetrics metrics;
  dispatch(
      choice, "mismatchMetrics", bytes_of(2, tokens),
      [&](Session& session) {
        const auto there = upload(session, batch);
        auto* const metrics_there = session.out(&metrics, 1);
        return run(session, "mismatch_metrics", session.kernels().mismatch_metrics, nullptr,
                   [&](auto& kernel, auto& launch) {
                     return kernel(there, static_cast<std::int64_t>(tokens), metrics_there, launch);
                   });
      },
      [&] { metrics = rl::mismatch_metrics(batch); });
  return metrics;
}

template <>
rl::MismatchMetrics mismatch_metrics(Choice choice, const rl::RolloutBatch<double>& batch) {
  runs_on_cuda(choice, 0, false);
  return rl::mismatch_metrics(batch);
}

template <>
void gamma_weights(Choice choice, const rl::GammaWeight& rule, const rl::GammaBatch<float>& batch,
                   float* weights) {
  const std::size_t tokens = covered(batch.cu_seqlens, batch.rows);
  dispatch(
      choice, "gammaWeights", bytes_of(2, tokens),
      [&](Session& session) {
        const auto there = upload(session, batch);
        float* const weights_there = session.out(weights, batch.rows);
        return run(session, "gamma_weights", session.kernels().gamma_weights, nullptr,
                   [&](auto& kernel, auto& launch) {
                     return kernel(rule, there, static_cast<std::int64_t>(tokens), weights_there, launch);
                   });
      },
      [&] { rl::gamma_weights(rule, batch, weights); });
}

template <>
void gamma_weights(Choice choice, const rl::GammaWeight& rule, const rl::GammaBatch<double>& batch,
                   double* weights) {
  runs_on_cuda(choice, 0, false);
  rl::gamma_weights(rule, batch, weights);
}

}  // namespace adjudge::device
