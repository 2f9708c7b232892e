#pragma once

#include <cstddef>
#include <cstdint>

// Generalised advantage estimation (Schulman et al. 2016) over packed ragged sequences.
namespace adjudge::rl {

struct GaeRule {
  double gamma = 1;
  double lambda = 1;
  // A token whose mask is 0: no step at all (verl), or one whose reward and value are 0 (OpenRLHF).
  bool skip_masked = true;
};

// One sequence of tokens [begin, end), from its end. reward(t), value(t) and counted(t) are read, and
// write(t, advantage, advantage + value) is called for each counted token. `bootstrap`: value of the state
// after the last token, 0 where the sequence is complete.
template <typename Reward, typename Value, typename Counted, typename Write>
void gae_sequence(const GaeRule& rule, std::int32_t begin, std::int32_t end, double bootstrap,
                  Reward&& reward, Value&& value, Counted&& counted, Write&& write) {
  double next = bootstrap;
  double running = 0;
  for (std::int32_t t = end - 1; t >= begin; --t) {
    if (!counted(t)) {
      if (rule.skip_masked) continue;
      running = rule.gamma * next + rule.gamma * rule.lambda * running;
      next = 0;
      continue;
    }
    const double here = value(t);
    running = reward(t) + rule.gamma * next - here + rule.gamma * rule.lambda * running;
    next = here;
    write(t, running, running + here);
  }
}

template <typename Float>
struct GaeBatch {
  const Float* rewards = nullptr;  // [tokens]
  const Float* values = nullptr;   // [tokens]
  const std::int32_t* cu_seqlens = nullptr;
  std::size_t rows = 0;
  const std::uint8_t* mask = nullptr;       // [tokens], null = all count
  const Float* bootstrap_values = nullptr;  // [rows], null = 0
};

}  // namespace adjudge::rl
