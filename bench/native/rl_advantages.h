// GAE and group advantages.
#pragma once
#include "native/rl/advantage.h"
#include "native/rl/gae.h"
#include "rl_case.h"

namespace adjudge::bench {

inline Case gae_case(std::vector<int32_t> rows, double lambda, bool masked) {
  struct Memory {
    std::vector<int32_t> rows;
    int64_t tokens = rows.back();
    double lambda;
    Array<float> rewards{tokens, [](int64_t i) { return i % 8192 == 8191 ? uniform(i, 1) : 0.0f; }};
    Array<float> values{tokens, [](int64_t i) { return centred(i, 2, 1); }};
    Array<float> advantages{tokens}, returns{tokens};
    Array<uint8_t> mask{tokens, [](int64_t i) { return uniform(i / 128, 27) < 0.9f ? 1 : 0; }};
  };
  const int64_t tokens = rows.back();
  auto memory = std::shared_ptr<Memory>(new Memory{std::move(rows), tokens, lambda});
  Memory& m = *memory;
  Case result;
  result.bands = {{{m.rewards.data(), m.values.data()}, {m.advantages.data(), m.returns.data()}, tokens}};
  if (masked) result.bands.push_back({{m.mask.stream()}, {}, m.mask.stream_count()});
  result.kernel = [memory, masked] {
    rl::GaeBatch<float> batch;
    batch.rewards = memory->rewards.data();
    batch.values = memory->values.data();
    batch.cu_seqlens = memory->rows.data();
    batch.rows = memory->rows.size() - 1;
    if (masked) batch.mask = memory->mask.data();
    rl::gae<float>({1, memory->lambda, true}, batch, memory->advantages.data(), memory->returns.data());
  };
  return result;
}

// Rewards in, advantages out, and the boundaries of the groups.
inline Case group_advantages_case(int64_t completions, std::vector<int32_t> groups) {
  struct Memory {
    int64_t completions;
    std::vector<int32_t> groups;
    Array<int32_t> offsets{static_cast<int64_t>(groups.size()), [this](int64_t i) { return groups[i]; }};
    Array<float> rewards{completions, [](int64_t i) { return uniform(i, 3); }};
    Array<float> advantages{completions};
  };
  auto memory = std::shared_ptr<Memory>(new Memory{completions, std::move(groups)});
  Memory& m = *memory;
  Case result;
  result.bands = {{{m.rewards.data()}, {m.advantages.data()}, completions},
                  {{m.offsets.stream()}, {}, m.offsets.stream_count()}};
  result.kernel = [memory] {
    const rl::AdvantageRule grpo;
    rl::AdvantageBatch<float> batch;
    batch.rewards = memory->rewards.data();
    batch.group_offsets = memory->offsets.data();
    batch.groups = static_cast<size_t>(memory->offsets.size() - 1);
    rl::compute_advantages<float>(grpo, batch, memory->advantages.data(), nullptr);
  };
  return result;
}

inline std::vector<NamedCase> advantage_cases() {
  return {
      {"gae, 8192 x 8192", [](double size) { return gae_case(even(scaled(size, 8192), 8192), 0.95, false); }},
      {"gae with lambda 1, 8192 x 8192",
       [](double size) { return gae_case(even(scaled(size, 8192), 8192), 1, false); }},
      {"gae, 6 * 10^7 tokens in masked rows of up to 4096",
       [](double size) { return gae_case(ragged(scaled(size, 60'000'000), 4096, 28), 0.95, true); }},
      {"grpo advantages, 10^8 in groups of 8",
       [](double size) {
         const int64_t groups = scaled(size, 12'500'000);
         return group_advantages_case(groups * 8, even(groups, 8));
       }},
      {"grpo advantages, 10^8 in groups of 2 to 17", [](double size) {
         const int64_t completions = scaled(size, 100'000'000);
         std::vector<int32_t> groups{0};
         while (groups.back() + 18 < completions)
           groups.push_back(groups.back() + 2 + static_cast<int32_t>(uniform(groups.size(), 4) * 16));
         groups.push_back(static_cast<int32_t>(completions));
         return group_advantages_case(completions, std::move(groups));
       }}};
}

}  // namespace adjudge::bench
