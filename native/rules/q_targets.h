#pragma once

#include <cstddef>
#include <cstdint>

// What Q(s_t, a_t) is drawn towards: rewards over one or several steps and a bootstrap from the state they
// end in.
namespace adjudge::rl {

// Value of the next state: largest Q; the target network's Q at the online network's choice (double DQN);
// temperature · log Σ exp(Q / temperature) (soft Q); a value network's output.
enum class Bootstrap { max, double_q, soft, value };

// How a λ-return goes on past an action that was not the greedy one: as if it were (Peng), or not at all
// (Watkins).
enum class Trace { peng, watkins };

struct QTargetRule {
  Bootstrap bootstrap = Bootstrap::max;
  double gamma = 0.99;
  double temperature = 1;
  std::size_t steps = 1;  // n of the n-step return
  bool lambda_return = false;
  double lambda = 0;
  Trace trace = Trace::peng;
};

// Step t goes from s_t by a_t to its next state. Rows of a next state are not read where the step has
// terminated.
template <typename Float>
struct QTargetBatch {
  std::size_t steps = 0;
  std::size_t actions = 0;
  std::size_t quantiles = 1;
  const std::int32_t* cu_seqlens = nullptr;  // [trajectories + 1], null: every step by itself
  std::size_t trajectories = 0;
  const Float* rewards = nullptr;            // [steps]
  const std::uint8_t* terminated = nullptr;  // [steps], null = none: nothing comes after
  const std::uint8_t* truncated = nullptr;   // [steps], null = none: cut here, the next state has its value
  const Float* discounts = nullptr;          // [steps], null: gamma
  const Float* next_q = nullptr;             // [steps, actions, quantiles], target network
  const Float* twin_next_q = nullptr;        // a second one: the smaller counts
  const Float* next_online_q = nullptr;      // for double_q
  const std::uint8_t* next_action_mask = nullptr;  // [steps, actions], null: every action is allowed
  const Float* next_values = nullptr;              // [steps], for value
  const std::int32_t* taken = nullptr;             // [steps], for the watkins trace
};

}  // namespace adjudge::rl
