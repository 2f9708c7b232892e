#include "rl/off_policy.h"

#include <algorithm>
#include <type_traits>

#include "cpu/off_policy.h"
#include "reference/off_policy.h"

namespace adjudge::rl {

template <>
WeightMetrics importance_weights(const WeightRule& rule, const RolloutBatch<float>& batch, float* weights,
                                 float* sequences) {
  return adjudge::importance_weights(rule, batch, weights, sequences);
}

template <>
WeightMetrics importance_weights(const WeightRule& rule, const RolloutBatch<double>& batch, double* weights,
                                 double* sequences) {
  return reference::importance_weights(rule, batch, weights, sequences);
}

template <typename Float>
void keep_counted(const RolloutBatch<Float>& batch, std::uint8_t* mask, std::uint8_t* keep) {
  const std::int32_t tokens = batch.cu_seqlens[batch.rows];
  for (std::int32_t t = 0; t < tokens; ++t) mask[t] = !batch.mask || batch.mask[t] != 0 ? 1 : 0;
  std::fill_n(keep, batch.rows, std::uint8_t{1});
}

template <typename Float>
RejectionShares rejected_shares(const RolloutBatch<Float>& batch, double count_epsilon,
                                const std::uint8_t* mask) {
  double counted = 0, masked = 0, rows = 0;
  for (std::size_t i = 0; i < batch.rows; ++i) {
    std::int32_t here = 0, left = 0;
    for (std::int32_t t = batch.cu_seqlens[i]; t < batch.cu_seqlens[i + 1]; ++t) {
      here += !batch.mask || batch.mask[t] != 0 ? 1 : 0;
      left += mask[t] != 0 ? 1 : 0;
    }
    counted += here;
    masked += here - left;
    rows += here > left ? 1 : 0;
  }
  RejectionShares shares;
  if (counted > 0) shares.masked = masked / (counted + count_epsilon);
  if (batch.rows > 0) shares.sequences = rows / static_cast<double>(batch.rows);
  return shares;
}

template <typename Float>
RejectionShares rejection_mask(const RejectionRule& rule, const RolloutBatch<Float>& batch,
                               std::uint8_t* mask, std::uint8_t* keep, CriterionMetrics* criteria) {
  keep_counted(batch, mask, keep);
  for (const Criterion& criterion : rule.criteria) {
    if constexpr (std::is_same_v<Float, float>)
      *criteria++ = adjudge::reject(criterion, rule, batch, mask, keep);
    else
      *criteria++ = reference::reject(criterion, rule, batch, mask, keep);
  }
  return rejected_shares(batch, rule.count_epsilon, mask);
}

template <typename Float>
MismatchMetrics mismatch_metrics(const RolloutBatch<Float>& batch) {
  return reference::mismatch_metrics(batch);
}

template <typename Float>
void gamma_weights(const GammaWeight& rule, const GammaBatch<Float>& batch, Float* weights) {
  reference::gamma_weights(rule, batch, weights);
}

#define ADJUDGE_OFF_POLICY(Float)                                                                          \
  template void keep_counted(const RolloutBatch<Float>&, std::uint8_t*, std::uint8_t*);                    \
  template RejectionShares rejected_shares(const RolloutBatch<Float>&, double, const std::uint8_t*);       \
  template RejectionShares rejection_mask(const RejectionRule&, const RolloutBatch<Float>&, std::uint8_t*, \
                                          std::uint8_t*, CriterionMetrics*);                               \
  template MismatchMetrics mismatch_metrics(const RolloutBatch<Float>&);                                   \
  template void gamma_weights(const GammaWeight&, const GammaBatch<Float>&, Float*);

ADJUDGE_OFF_POLICY(float)
ADJUDGE_OFF_POLICY(double)

}  // namespace adjudge::rl
