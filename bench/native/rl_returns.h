// V-trace, Retrace and UPGO.
#pragma once
#include "native/rl/off_policy_returns.h"
#include "rl_case.h"

namespace adjudge::bench {

// run(batch, first, second). A kernel without action values or without a second output has no such stream.
template <typename Run>
Case off_policy_case(double size, bool action_values, bool two, Run run) {
  constexpr int64_t length = 4096;
  const int64_t rows = scaled(size, 8192), tokens = rows * length;
  struct Memory {
    int64_t rows, tokens;
    bool takes, two;
    std::vector<int32_t> boundaries = even(rows, length);
    Array<float> rewards{tokens, [](int64_t i) { return i % length == length - 1 ? uniform(i, 1) : 0.0f; }};
    Array<float> values{tokens, [](int64_t i) { return centred(i, 2, 1); }};
    Array<float> log_ratios{tokens, [](int64_t i) { return centred(i, 3, 0.1); }};
    Array<float> action_values{takes ? tokens : 0, [](int64_t i) { return centred(i, 4, 1); }};
    Array<float> first{tokens}, second{two ? tokens : 0};
  };
  auto memory = std::shared_ptr<Memory>(new Memory{rows, tokens, action_values, two});
  Memory& m = *memory;
  Case result;
  Band band{{m.rewards.data(), m.values.data(), m.log_ratios.data()}, {m.first.data()}, tokens};
  if (action_values) band.reads.push_back(m.action_values.data());
  if (two) band.writes.push_back(m.second.data());
  result.bands = {band};
  result.kernel = [memory, run] {
    rl::ReturnsBatch<float> batch;
    batch.rewards = memory->rewards.data();
    batch.values = memory->values.data();
    batch.log_ratios = memory->log_ratios.data();
    batch.action_values = memory->takes ? memory->action_values.data() : nullptr;
    batch.cu_seqlens = memory->boundaries.data();
    batch.rows = static_cast<size_t>(memory->rows);
    run(batch, memory->first.data(), memory->two ? memory->second.data() : nullptr);
  };
  return result;
}

inline std::vector<NamedCase> returns_cases() {
  using Batch = rl::ReturnsBatch<float>;
  return {{"vtrace, 8192 x 4096",
           [](double size) {
             return off_policy_case(size, false, true, [](const Batch& batch, float* first, float* second) {
               rl::vtrace<float>({0.99, 0.95, 1, 1, 1}, batch, first, second);
             });
           }},
          {"retrace, 8192 x 4096",
           [](double size) {
             return off_policy_case(size, true, false, [](const Batch& batch, float* first, float*) {
               rl::retrace<float>({0.99, 0.95, 1}, batch, first);
             });
           }},
          {"upgo, 8192 x 4096", [](double size) {
             return off_policy_case(size, false, true, [](const Batch& batch, float* first, float* second) {
               rl::upgo<float>({0.99, 1}, batch, first, second);
             });
           }}};
}

}  // namespace adjudge::bench
