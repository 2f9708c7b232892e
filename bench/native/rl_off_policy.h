// Importance weights and rejection of ragged tokens, in place of a loss' own ratio.
#pragma once
#include <cmath>

#include "native/rl/off_policy.h"
#include "rl_losses.h"

namespace adjudge::bench {

struct RolloutMemory {
  int64_t tokens;
  std::vector<int32_t> boundaries = ragged(tokens, longest_completion, 31);
  Array<float> log_probs{tokens, [](int64_t i) { return -2 * uniform(i, 32) - 0.01f; }};
  Array<float> rollout{tokens, [this](int64_t i) { return log_probs[i] + centred(i, 33, 0.3f); }};
  Array<float> weights{tokens};

  rl::RolloutBatch<float> batch() const {
    rl::RolloutBatch<float> batch;
    batch.log_probs = log_probs.data();
    batch.rollout_log_probs = rollout.data();
    batch.cu_seqlens = boundaries.data();
    batch.rows = boundaries.size() - 1;
    return batch;
  }
};

inline Case importance_weights_case(double size) {
  auto memory = std::shared_ptr<RolloutMemory>(new RolloutMemory{scaled(size, 100'000'000)});
  RolloutMemory& m = *memory;
  Case result;
  result.bands = {{{m.log_probs.data(), m.rollout.data()}, {m.weights.data()}, m.tokens}};
  result.kernel = [memory] {
    rl::WeightRule rule;
    rule.high = 2;
    rule.log_ratio_limit = 20;
    rl::importance_weights<float>(rule, memory->batch(), memory->weights.data(), nullptr);
  };
  return result;
}

// The floor reads the log-probs; the mask, a byte a token, is not in it.
inline Case rejection_case(double size) {
  struct Memory : RolloutMemory {
    std::vector<uint8_t> mask = std::vector<uint8_t>(static_cast<size_t>(tokens));
    std::vector<uint8_t> keep = std::vector<uint8_t>(boundaries.size() - 1);
  };
  auto memory = std::shared_ptr<Memory>(new Memory{{scaled(size, 100'000'000)}});
  Memory& m = *memory;
  Case result;
  result.bands = {{{m.log_probs.data(), m.rollout.data()}, {}, m.tokens}};
  result.kernel = [memory] {
    const rl::RejectionRule rule{
        {{rl::RejectionStatistic::k3, rl::RejectionLevel::sequence_mean, -INFINITY, 0.01, false}}, 20, 0};
    rl::CriterionMetrics metrics;
    rl::rejection_mask<float>(rule, memory->batch(), memory->mask.data(), memory->keep.data(), &metrics);
  };
  return result;
}

inline std::vector<NamedCase> off_policy_cases() {
  return {{"importance weights, 10^8 tokens", importance_weights_case},
          {"rejection by the k3 of sequences, 10^8 tokens", rejection_case}};
}

}  // namespace adjudge::bench
