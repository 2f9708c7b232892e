// What the kernels of advantages read, and the reward of a completion.
#pragma once

#include "cuda/fault.cuh"
#include "rules/advantage.h"

namespace adjudge::cuda {

struct AdvantageView {
  rl::AdvantageRule rule;
  rl::AdvantageBatch<float> batch;
  std::int64_t completions;
  const double* row_penalties;  // [completions], null: none is taken off
  const double* row_lengths;    // [completions]: counted tokens; null: not needed
  int function;                 // only this one's rewards; -1: the weighted sum of all
};

struct Reward {
  double value;
  bool scored;
};

SIMT_DEVICE double clipped(const rl::AdvantageRule& rule, double value) {
  const double bounded = value < rule.clip_low ? rule.clip_low : value;
  return rule.clip_high < bounded ? rule.clip_high : bounded;
}

// As it enters the baseline: clipped, penalties taken off. Infinite rewards are noted where `fault` is not
// null.
SIMT_DEVICE Reward reward_of(const AdvantageView& view, std::int64_t i, FaultKey* fault = nullptr) {
  const rl::AdvantageBatch<float>& batch = view.batch;
  const auto functions = static_cast<std::int64_t>(batch.functions);
  const float* rewards = batch.rewards + i * functions;
  bool any = false;
  double sum = 0;
  for (std::int64_t k = 0; k < functions; ++k) {
    const float reward = rewards[k];
    if (reward != reward) continue;
    any = true;
    sum += (batch.weights ? batch.weights[k] : 1.0) * reward;
  }
  if (!any || (batch.scored && !batch.scored[i])) return {0, false};
  if (fault && !(sum - sum == 0)) note_fault(fault, FaultKind::reward_infinite, i);
  const bool clip = view.rule.clip_place == rl::ClipPlace::before_baseline;
  if (view.function >= 0) {
    const float own = rewards[view.function];
    if (own != own) return {0, false};
    return {clip ? clipped(view.rule, own) : own, true};
  }
  if (clip) sum = clipped(view.rule, sum);
  if (view.row_penalties) sum -= view.row_penalties[i];
  return {sum, true};
}

// Scratch of the optimal token baseline (optimal_token_baseline.cu).
struct OptimalTokens {
  double* weights;         // [tokens]
  std::int32_t* lengths;   // [completions]: counted tokens
  std::int32_t* token_at;  // [tokens]: a row's counted tokens in their order; null: rows are compared place
                           // by place
};

// Takes the baseline off the returns of scored rows.
void enqueue_optimal_token_baseline(Enqueue& enqueue, const AdvantageView& view, const OptimalTokens& optimal,
                                    const std::uint8_t* scored, float* advantages);

// Rewards of completions to advantages per token (advantage_tokens.cu): `outcomes` [completions] on the last
// counted token, penalties, the recurrence, whitening.
struct TokenAdvantages {
  const double* outcomes;
  const std::uint8_t* scored;  // [completions]
  std::int64_t tokens;
  float* token_rewards;  // [tokens], scratch
  double* row_moments;   // [completions, 3], scratch
  double* whitening;     // [2], scratch: mean and factor
  OptimalTokens optimal;
};

void enqueue_row_sums(Enqueue& enqueue, const AdvantageView& view, double* penalties, double* lengths);
void enqueue_token_advantages(Enqueue& enqueue, const AdvantageView& view, const TokenAdvantages& tokens,
                              float* advantages, float* returns, FaultKey* fault);

}  // namespace adjudge::cuda
