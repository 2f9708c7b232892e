#include "cpu/policy_loss.h"
#include "reference/loss_selection.h"
#include "rl/policy_loss.h"

namespace adjudge::rl {

// Choosing tokens (by their ratio, their entropy or their covariance) reads the batch once more, in one
// thread.
LossValue policy_loss_vectors(const LossRule& rule, const LossBatch<float>& batch, float* log_prob_gradients,
                              float* entropy_gradients) {
  LossBatch<float> kept_batch = batch;
  const auto data = [](const std::vector<std::uint8_t>& tokens) {
    return tokens.empty() ? nullptr : tokens.data();
  };
  const std::vector<std::uint8_t> kept = reference::kept_tokens(rule, batch);
  if (!kept.empty()) kept_batch.mask = kept.data();
  const std::vector<std::uint8_t> teaches = reference::high_entropy_tokens(rule, kept_batch);
  const std::vector<std::uint8_t> selected = reference::covariance_tokens(rule, kept_batch);
  return adjudge::policy_loss(rule, kept_batch, data(teaches), data(selected), log_prob_gradients,
                              entropy_gradients);
}

}  // namespace adjudge::rl
