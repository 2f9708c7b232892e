// Policy, value and preference losses over ragged tokens, with gradients and metrics.
#pragma once
#include "native/rl/policy_loss.h"
#include "native/rl/preference_loss.h"
#include "native/rl/value_loss.h"
#include "rl_case.h"

namespace adjudge::bench {

constexpr int64_t longest_completion = 2048;

// log-probs, old and reference log-probs in; gradients out; one advantage per completion.
inline Case policy_loss_case(double size, const rl::LossRule& rule) {
  struct Memory {
    int64_t tokens;
    rl::LossRule rule;
    std::vector<int32_t> boundaries = ragged(tokens, longest_completion, 5);
    Array<float> log_probs{tokens, [](int64_t i) { return -2 * uniform(i, 6) - 0.01f; }};
    Array<float> old_log_probs{tokens, [this](int64_t i) { return log_probs[i] + centred(i, 7, 0.3f); }};
    Array<float> reference{tokens, [this](int64_t i) { return log_probs[i] + centred(i, 8, 0.3f); }};
    Array<float> advantages{static_cast<int64_t>(boundaries.size()) - 1,
                            [](int64_t i) { return centred(i, 9, 2); }};
    Array<float> gradients{tokens};
  };
  auto memory = std::shared_ptr<Memory>(new Memory{scaled(size, 100'000'000), rule});
  Memory& m = *memory;
  Case result;
  result.bands = {
      {{m.log_probs.data(), m.old_log_probs.data(), m.reference.data()}, {m.gradients.data()}, m.tokens}};
  result.kernel = [memory] {
    rl::LossBatch<float> batch;
    batch.log_probs = memory->log_probs.data();
    batch.old_log_probs = memory->old_log_probs.data();
    batch.reference_log_probs = memory->reference.data();
    batch.advantages = memory->advantages.data();
    batch.cu_seqlens = memory->boundaries.data();
    batch.rows = memory->boundaries.size() - 1;
    rl::policy_loss<float>(memory->rule, batch, memory->gradients.data(), nullptr);
  };
  return result;
}

inline rl::LossRule grpo_with_kl() {
  rl::LossRule rule;
  rule.aggregation.kind = rl::Aggregation::sequence_mean_token_mean;
  rule.kl.coefficient = 0.04;
  return rule;
}

inline rl::LossRule gspo_with_kl() {
  rl::LossRule rule = grpo_with_kl();
  rule.ratio = rl::Ratio::sequence;
  rule.clip_low = 3e-4;
  rule.clip_high = 4e-4;
  rule.aggregation.kind = rl::Aggregation::sequence_mean;
  return rule;
}

inline Case value_loss_case(double size) {
  struct Memory {
    int64_t tokens;
    std::vector<int32_t> boundaries = ragged(tokens, longest_completion, 10);
    Array<float> values{tokens, [](int64_t i) { return centred(i, 11, 1); }};
    Array<float> old_values{tokens, [this](int64_t i) { return values[i] + centred(i, 12, 0.4f); }};
    Array<float> returns{tokens, [](int64_t i) { return centred(i, 13, 1); }};
    Array<float> gradients{tokens};
  };
  auto memory = std::shared_ptr<Memory>(new Memory{scaled(size, 100'000'000)});
  Memory& m = *memory;
  Case result;
  result.bands = {{{m.values.data(), m.old_values.data(), m.returns.data()}, {m.gradients.data()}, m.tokens}};
  result.kernel = [memory] {
    rl::ValueRule rule;
    rule.clip = 0.2;
    rl::ValueBatch<float> batch;
    batch.values = memory->values.data();
    batch.old_values = memory->old_values.data();
    batch.returns = memory->returns.data();
    batch.cu_seqlens = memory->boundaries.data();
    batch.rows = memory->boundaries.size() - 1;
    rl::value_loss<float>(rule, batch, memory->gradients.data());
  };
  return result;
}

// Pairs of completions of 1 to 127 tokens: DPO from log-probs and reference log-probs per token.
inline Case preference_case(double size) {
  struct Memory {
    int64_t pairs;
    std::vector<int32_t> boundaries = ragged(pairs * 2 * 64, 127, 14);
    int64_t completions = static_cast<int64_t>(boundaries.size()) - 1;
    int64_t used = std::min(pairs, completions / 2);
    int64_t tokens = boundaries.back();
    Array<float> log_probs{tokens, [](int64_t i) { return -2 * uniform(i, 15); }};
    Array<float> reference{tokens, [this](int64_t i) { return log_probs[i] + centred(i, 16, 0.3f); }};
    Array<int32_t> chosen{used, [](int64_t i) { return 2 * i; }};
    Array<int32_t> rejected{used, [](int64_t i) { return 2 * i + 1; }};
    Array<float> gradients{tokens};
  };
  auto memory = std::shared_ptr<Memory>(new Memory{scaled(size, 1'000'000)});
  Memory& m = *memory;
  Case result;
  result.bands = {{{m.log_probs.data(), m.reference.data()}, {m.gradients.data()}, m.tokens},
                  {{m.chosen.stream(), m.rejected.stream()}, {}, m.used}};
  result.kernel = [memory] {
    rl::PreferenceBatch<float> batch;
    batch.log_probs = memory->log_probs.data();
    batch.reference_log_probs = memory->reference.data();
    batch.cu_seqlens = memory->boundaries.data();
    batch.completions = static_cast<size_t>(memory->completions);
    batch.chosen = memory->chosen.data();
    batch.rejected = memory->rejected.data();
    batch.pairs = static_cast<size_t>(memory->used);
    rl::preference_loss<float>({}, batch, memory->gradients.data());
  };
  return result;
}

inline std::vector<NamedCase> loss_cases() {
  return {
      {"grpo loss with KL, 10^8 tokens", [](double size) { return policy_loss_case(size, grpo_with_kl()); }},
      {"gspo loss with KL, 10^8 tokens", [](double size) { return policy_loss_case(size, gspo_with_kl()); }},
      {"value loss, 10^8 tokens", value_loss_case},
      {"dpo loss, 10^6 pairs of 128 tokens", preference_case}};
}

}  // namespace adjudge::bench
