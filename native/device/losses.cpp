#include "device/rl.h"

#include <vector>

#include "device/dispatch.h"
#include "device/upload.h"
#include "reference/loss_selection.h"

namespace adjudge::device {
namespace {

// The tokens that clip_cov draws by a hash of all log-probs in their order: no work for a GPU.
std::vector<std::uint8_t> drawn_tokens(const rl::LossRule& rule, rl::LossBatch<float> batch) {
  if (rule.kind != rl::LossKind::clip_cov) return {};
  const std::vector<std::uint8_t> kept = reference::kept_tokens(rule, batch);
  if (!kept.empty()) batch.mask = kept.data();
  return reference::covariance_tokens(rule, batch);
}

}  // namespace

template <>
rl::LossValue policy_loss(Choice choice, const rl::LossRule& rule, const rl::LossBatch<float>& batch,
                          float* log_prob_gradients, float* entropy_gradients) {
  const std::size_t tokens = covered(batch.cu_seqlens, batch.rows);
  rl::LossValue value;
  std::vector<std::uint8_t> drawn;  // until the session is over
  dispatch(
      choice, "policy_loss",
      (4 + (batch.reference_log_probs != nullptr) + 2 * (batch.entropies != nullptr)) * tokens *
          sizeof(float),
      [&](Session& session) {
        drawn = drawn_tokens(rule, batch);
        const auto there = upload(session, batch);
        const std::uint8_t* const drawn_there = session.in(drawn.empty() ? nullptr : drawn.data(), tokens);
        float* const log_prob_gradients_there = session.out(log_prob_gradients, tokens);
        float* const entropy_gradients_there = session.out(entropy_gradients, tokens);
        auto* const value_there = session.out(&value, 1);
        return run(session, "policy_loss", session.kernels().policy_loss, nullptr,
                   [&](auto& kernel, auto& launch) {
                     return kernel(rule, there, static_cast<std::int64_t>(tokens), drawn_there,
                                   log_prob_gradients_there, entropy_gradients_there, value_there, launch);
                   });
      },
      [&] { value = rl::policy_loss(rule, batch, log_prob_gradients, entropy_gradients); });
  return value;
}

template <>
rl::LossValue policy_loss(Choice choice, const rl::LossRule& rule, const rl::LossBatch<double>& batch,
                          double* log_prob_gradients, double* entropy_gradients) {
  runs_on_cuda(choice, 0, false);
  return rl::policy_loss(rule, batch, log_prob_gradients, entropy_gradients);
}

template <>
rl::ValueLossResult value_loss(Choice choice, const rl::ValueRule& rule, const rl::ValueBatch<float>& batch,
                               float* gradients) {
  const std::size_t tokens = covered(batch.cu_seqlens, batch.rows);
  rl::ValueLossResult value;
  dispatch(
      choice, "value_loss", 4 * tokens * sizeof(float),
      [&](Session& session) {
        const auto there = upload(session, batch);
        float* const gradients_there = session.out(gradients, tokens);
        auto* const value_there = session.out(&value, 1);
        return run(session, "value_loss", session.kernels().value_loss, nullptr,
                   [&](auto& kernel, auto& launch) {
                     return kernel(rule, there, static_cast<std::int64_t>(tokens), gradients_there,
                                   value_there, launch);
                   });
      },
      [&] { value = rl::value_loss(rule, batch, gradients); });
  return value;
}

template <>
rl::ValueLossResult value_loss(Choice choice, const rl::ValueRule& rule, const rl::ValueBatch<double>& batch,
                               double* gradients) {
  runs_on_cuda(choice, 0, false);
  return rl::value_loss(rule, batch, gradients);
}

template <>
void kl_rows(Choice choice, rl::KlDirection rule, const rl::KlRowsBatch<float>& batch, float* values,
             float* gradients) {
  const std::size_t numbers = batch.rows * batch.width;
  dispatch(
      choice, "klRows", (2 + (gradients != nullptr)) * numbers * sizeof(float),
      [&](Session& session) {
        const auto there = upload(session, batch);
        float* const values_there = session.out(values, batch.rows);
        float* const gradients_there = session.out(gradients, numbers);
        return run(session, "kl_rows", session.kernels().kl_rows, nullptr, [&](auto& kernel, auto& launch) {
          return kernel(rule, there, values_there, gradients_there, launch);
        });
      },
      [&] { rl::kl_rows(rule, batch, values, gradients); });
}

template <>
void kl_rows(Choice choice, rl::KlDirection rule, const rl::KlRowsBatch<double>& batch, double* values,
             double* gradients) {
  runs_on_cuda(choice, 0, false);
  return rl::kl_rows(rule, batch, values, gradients);
}

template <>
void kl_tokens(Choice choice, const rl::KlRule& rule, const rl::KlTokensBatch<float>& batch, float* values,
               float* gradients) {
  dispatch(
      choice, "klDivergence", bytes_of(4, batch.tokens),
      [&](Session& session) {
        const auto there = upload(session, batch);
        float* const values_there = session.out(values, batch.tokens);
        float* const gradients_there = session.out(gradients, batch.tokens);
        return run(session, "kl_tokens", session.kernels().kl_tokens, nullptr,
                   [&](auto& kernel, auto& launch) {
                     return kernel(rule, there, values_there, gradients_there, launch);
                   });
      },
      [&] { rl::kl_tokens(rule, batch, values, gradients); });
}

template <>
void kl_tokens(Choice choice, const rl::KlRule& rule, const rl::KlTokensBatch<double>& batch, double* values,
               double* gradients) {
  runs_on_cuda(choice, 0, false);
  rl::kl_tokens(rule, batch, values, gradients);
}

template <>
rl::KlRewardMetrics kl_reward(Choice choice, const rl::KlRewardRule& rule,
                              const rl::KlRewardBatch<float>& batch, float* results) {
  const std::size_t tokens = covered(batch.cu_seqlens, batch.rows);
  rl::KlRewardMetrics value;
  dispatch(
      choice, "klReward", 4 * tokens * sizeof(float),
      [&](Session& session) {
        const auto there = upload(session, batch);
        float* const results_there = session.out(results, tokens);
        auto* const value_there = session.out(&value, 1);
        return run(session, "kl_reward", session.kernels().kl_reward, nullptr,
                   [&](auto& kernel, auto& launch) {
                     return kernel(rule, there, static_cast<std::int64_t>(tokens), results_there, value_there,
                                   launch);
                   });
      },
      [&] { value = rl::kl_reward(rule, batch, results); });
  return value;
}

template <>
rl::KlRewardMetrics kl_reward(Choice choice, const rl::KlRewardRule& rule,
                              const rl::KlRewardBatch<double>& batch, double* results) {
  runs_on_cuda(choice, 0, false);
  return rl::kl_reward(rule, batch, results);
}

}  // namespace adjudge::device
