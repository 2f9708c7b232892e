// Batches of native/rl with their arrays on the device. Outputs that a batch names itself come back with the
// session's finish().
#pragma once

#include "device/session.h"
#include "rl/gae.h"
#include "rl/kl_reward.h"
#include "rl/kl_rows.h"
#include "rl/kl_tokens.h"
#include "rl/off_policy_returns.h"
#include "rl/preference_loss.h"
#include "rl/q_loss.h"
#include "rl/q_targets.h"
#include "rl/value_loss.h"
#include "rules/advantage.h"
#include "rules/off_policy.h"
#include "rules/logits.h"
#include "rules/policy_loss.h"

namespace adjudge::device {

// The number of elements that packed ranges cover; 0 where there are none.
inline std::size_t covered(const std::int32_t* offsets, std::size_t ranges) {
  return offsets ? static_cast<std::size_t>(offsets[ranges]) : 0;
}

inline rl::AdvantageBatch<float> upload(Session& session, rl::AdvantageBatch<float> batch) {
  const std::size_t completions = covered(batch.group_offsets, batch.groups);
  const std::size_t tokens = covered(batch.cu_seqlens, completions);
  batch.rewards = session.in(batch.rewards, completions * batch.functions);
  batch.weights = session.in(batch.weights, batch.functions);
  batch.scored = session.in(batch.scored, completions);
  batch.group_offsets = session.in(batch.group_offsets, batch.groups + 1);
  batch.cu_seqlens = session.in(batch.cu_seqlens, completions + 1);
  batch.mask = session.in(batch.mask, tokens);
  batch.penalties = session.in(batch.penalties, tokens);
  batch.baselines = session.in(batch.baselines, completions);
  batch.values = session.in(batch.values, tokens);
  batch.log_probs = session.in(batch.log_probs, tokens);
  batch.sum_pi_squared = session.in(batch.sum_pi_squared, tokens);
  batch.importance_weights = session.in(batch.importance_weights, tokens);
  return batch;
}

inline rl::GaeBatch<float> upload(Session& session, rl::GaeBatch<float> batch) {
  const std::size_t tokens = covered(batch.cu_seqlens, batch.rows);
  batch.rewards = session.in(batch.rewards, tokens);
  batch.values = session.in(batch.values, tokens);
  batch.cu_seqlens = session.in(batch.cu_seqlens, batch.rows + 1);
  batch.mask = session.in(batch.mask, tokens);
  batch.bootstrap_values = session.in(batch.bootstrap_values, batch.rows);
  return batch;
}

inline rl::ReturnsBatch<float> upload(Session& session, rl::ReturnsBatch<float> batch) {
  const std::size_t tokens = covered(batch.cu_seqlens, batch.rows);
  batch.rewards = session.in(batch.rewards, tokens);
  batch.values = session.in(batch.values, tokens);
  batch.action_values = session.in(batch.action_values, tokens);
  batch.log_ratios = session.in(batch.log_ratios, tokens);
  batch.cu_seqlens = session.in(batch.cu_seqlens, batch.rows + 1);
  batch.mask = session.in(batch.mask, tokens);
  batch.bootstrap_values = session.in(batch.bootstrap_values, batch.rows);
  return batch;
}

inline rl::LossBatch<float> upload(Session& session, rl::LossBatch<float> batch) {
  const std::size_t tokens = covered(batch.cu_seqlens, batch.rows);
  batch.log_probs = session.in(batch.log_probs, tokens);
  batch.old_log_probs = session.in(batch.old_log_probs, tokens);
  batch.reference_log_probs = session.in(batch.reference_log_probs, tokens);
  batch.entropies = session.in(batch.entropies, tokens);
  batch.importance_weights = session.in(batch.importance_weights, tokens);
  batch.rollout_log_probs = session.in(batch.rollout_log_probs, tokens);
  batch.advantages = session.in(batch.advantages, batch.advantages_per_token ? tokens : batch.rows);
  batch.mask = session.in(batch.mask, tokens);
  batch.cu_seqlens = session.in(batch.cu_seqlens, batch.rows + 1);
  batch.candidate_order = session.in(batch.candidate_order, batch.candidate_count);
  return batch;
}

inline rl::ValueBatch<float> upload(Session& session, rl::ValueBatch<float> batch) {
  const std::size_t tokens = covered(batch.cu_seqlens, batch.rows);
  batch.values = session.in(batch.values, tokens);
  batch.old_values = session.in(batch.old_values, tokens);
  batch.returns = session.in(batch.returns, tokens);
  batch.mask = session.in(batch.mask, tokens);
  batch.cu_seqlens = session.in(batch.cu_seqlens, batch.rows + 1);
  return batch;
}

inline cuda::LogitsRows upload(Session& session, const rl::LogitsBatch<float>& batch) {
  cuda::LogitsRows rows;
  rows.logits = session.in(batch.logits, batch.rows * batch.width);
  rows.rows = static_cast<std::int64_t>(batch.rows);
  rows.width = rows.stride = static_cast<std::int64_t>(batch.width);
  rows.temperature = batch.temperature;
  rows.tokens = session.in(batch.tokens, batch.rows);
  return rows;
}

inline rl::KlRowsBatch<float> upload(Session& session, rl::KlRowsBatch<float> batch) {
  batch.logits = session.in(batch.logits, batch.rows * batch.width);
  batch.reference_logits = session.in(batch.reference_logits, batch.rows * batch.width);
  batch.mask = session.in(batch.mask, batch.rows);
  return batch;
}

inline rl::KlTokensBatch<float> upload(Session& session, rl::KlTokensBatch<float> batch) {
  batch.log_probs = session.in(batch.log_probs, batch.tokens);
  batch.reference_log_probs = session.in(batch.reference_log_probs, batch.tokens);
  batch.old_log_probs = session.in(batch.old_log_probs, batch.tokens);
  batch.mask = session.in(batch.mask, batch.tokens);
  return batch;
}

inline rl::KlRewardBatch<float> upload(Session& session, rl::KlRewardBatch<float> batch) {
  const std::size_t tokens = covered(batch.cu_seqlens, batch.rows);
  batch.rewards = session.in(batch.rewards, batch.rows);
  batch.token_rewards = session.in(batch.token_rewards, tokens);
  batch.kl = session.in(batch.kl, tokens);
  batch.log_probs = session.in(batch.log_probs, tokens);
  batch.reference_log_probs = session.in(batch.reference_log_probs, tokens);
  batch.mask = session.in(batch.mask, tokens);
  batch.cu_seqlens = session.in(batch.cu_seqlens, batch.rows + 1);
  return batch;
}

inline rl::RolloutBatch<float> upload(Session& session, rl::RolloutBatch<float> batch) {
  const std::size_t tokens = covered(batch.cu_seqlens, batch.rows);
  batch.log_probs = session.in(batch.log_probs, tokens);
  batch.rollout_log_probs = session.in(batch.rollout_log_probs, tokens);
  batch.advantages = session.in(batch.advantages, batch.rows);
  batch.mask = session.in(batch.mask, tokens);
  batch.cu_seqlens = session.in(batch.cu_seqlens, batch.rows + 1);
  return batch;
}

inline rl::GammaBatch<float> upload(Session& session, rl::GammaBatch<float> batch) {
  const std::size_t tokens = covered(batch.cu_seqlens, batch.rows);
  batch.log_probs = session.in(batch.log_probs, tokens);
  batch.old_log_probs = session.in(batch.old_log_probs, tokens);
  batch.importance_weights = session.in(batch.importance_weights, tokens);
  batch.advantages = session.in(batch.advantages, batch.rows);
  batch.mask = session.in(batch.mask, tokens);
  batch.cu_seqlens = session.in(batch.cu_seqlens, batch.rows + 1);
  return batch;
}

inline rl::QTargetBatch<float> upload(Session& session, rl::QTargetBatch<float> batch) {
  const std::size_t each = batch.steps * batch.actions, q = each * batch.quantiles;
  batch.cu_seqlens = session.in(batch.cu_seqlens, batch.trajectories + 1);
  batch.rewards = session.in(batch.rewards, batch.steps);
  batch.terminated = session.in(batch.terminated, batch.steps);
  batch.truncated = session.in(batch.truncated, batch.steps);
  batch.discounts = session.in(batch.discounts, batch.steps);
  batch.next_q = session.in(batch.next_q, q);
  batch.twin_next_q = session.in(batch.twin_next_q, q);
  batch.next_online_q = session.in(batch.next_online_q, q);
  batch.next_action_mask = session.in(batch.next_action_mask, each);
  batch.next_values = session.in(batch.next_values, batch.steps);
  batch.taken = session.in(batch.taken, batch.steps);
  return batch;
}

inline rl::QLossBatch<float> upload(Session& session, rl::QLossBatch<float> batch) {
  const std::size_t each = batch.steps * batch.actions, q = each * batch.quantiles;
  for (rl::QHead<float>& head : batch.heads) {
    head.q = session.in(head.q, q);
    head.action_q = session.in(head.action_q, batch.steps);
    head.log_sum_exp = session.in(head.log_sum_exp, batch.steps);
    head.q_gradients = session.out(head.q_gradients, q);
    head.action_q_gradients = session.out(head.action_q_gradients, batch.steps);
    head.log_sum_exp_gradients = session.out(head.log_sum_exp_gradients, batch.steps);
  }
  batch.taken = session.in(batch.taken, batch.steps);
  batch.targets = session.in(batch.targets, batch.steps * batch.quantiles);
  batch.weights = session.in(batch.weights, batch.steps);
  batch.mask = session.in(batch.mask, batch.steps);
  batch.action_mask = session.in(batch.action_mask, each);
  batch.values = session.in(batch.values, batch.steps);
  batch.target_q = session.in(batch.target_q, batch.steps);
  batch.twin_target_q = session.in(batch.twin_target_q, batch.steps);
  batch.log_probs = session.in(batch.log_probs, batch.steps);
  batch.value_gradients = session.out(batch.value_gradients, batch.steps);
  batch.log_prob_gradients = session.out(batch.log_prob_gradients, batch.steps);
  batch.priorities = session.out(batch.priorities, batch.steps);
  batch.policy_weights = session.out(batch.policy_weights, batch.steps);
  return batch;
}

// Log-probs of tokens, or one number per completion.
inline std::size_t preference_values(const rl::PreferenceBatch<float>& batch) {
  return batch.cu_seqlens ? covered(batch.cu_seqlens, batch.completions) : batch.completions;
}

inline rl::PreferenceBatch<float> upload(Session& session, rl::PreferenceBatch<float> batch) {
  const std::size_t values = preference_values(batch);
  batch.log_probs = session.in(batch.log_probs, values);
  batch.reference_log_probs = session.in(batch.reference_log_probs, values);
  batch.cu_seqlens = session.in(batch.cu_seqlens, batch.completions + 1);
  batch.mask = session.in(batch.mask, values);
  batch.nll_mask = session.in(batch.nll_mask, values);
  batch.lengths = session.in(batch.lengths, batch.completions);
  batch.chosen = session.in(batch.chosen, batch.pairs);
  batch.rejected = session.in(batch.rejected, batch.pairs);
  batch.margins = session.in(batch.margins, batch.pairs);
  batch.weights = session.in(batch.weights, batch.desirable ? batch.completions : batch.pairs);
  batch.desirable = session.in(batch.desirable, batch.completions);
  batch.mismatched_log_probs = session.in(batch.mismatched_log_probs, batch.mismatched);
  batch.mismatched_reference_log_probs = session.in(batch.mismatched_reference_log_probs, batch.mismatched);
  return batch;
}

}  // namespace adjudge::device
