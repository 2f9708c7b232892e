#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

// Losses of value-based learning over a batch of steps, with their derivatives.
//
// Q of a step comes whole ([steps, actions, quantiles]: a vector of actions, or a vocabulary), or gathered: Q
// of the action taken and, for the conservative term, temperature · log Σ exp(Q / temperature). The gathered
// form is what a fused head gives without holding tokens × vocabulary; it takes a coefficient for each of the
// two.
namespace adjudge::rl {

// squared: d²; huber: d²/2 up to the threshold, beyond it threshold · (|d| − threshold/2);
// quantile: mean over targets, sum over quantiles of |τ − 1[u < 0]| · huber(u) / threshold, u = target −
// quantile (threshold 0: of |u|).
enum class TdKind { squared, huber, quantile };

struct QLossRule {
  TdKind td = TdKind::squared;
  double td_coefficient = 1;
  double huber_threshold = 1;
  double conservative_coefficient = 0;  // CQL(H): temperature · log Σ exp(Q / temperature) − Q(a)
  double conservative_temperature = 1;
  double value_coefficient = 0;  // expectile regression of V to the smaller target Q
  double expectile = 0.7;
  double policy_coefficient = 0;  // −log-prob · min(exp(beta · (Q − V)), weight_limit)
  double beta = 1;
  double weight_limit = std::numeric_limits<double>::infinity();
};

// One of the twin Q functions. Either q, or action_q (and log_sum_exp).
template <typename Float>
struct QHead {
  const Float* q = nullptr;            // [steps, actions, quantiles]
  const Float* action_q = nullptr;     // [steps]
  const Float* log_sum_exp = nullptr;  // [steps]
  Float* q_gradients = nullptr;        // written everywhere
  Float* action_q_gradients = nullptr;
  Float* log_sum_exp_gradients = nullptr;
  const char* q_name = "q";  // for errors
  const char* action_q_name = "actionQ";
  const char* log_sum_exp_name = "logSumExpQ";
};

template <typename Float>
struct QLossBatch {
  std::size_t steps = 0;
  std::size_t actions = 0;  // 0 in the gathered form
  std::size_t quantiles = 1;
  QHead<Float> heads[2];
  std::size_t head_count = 1;
  const std::int32_t* taken = nullptr;        // [steps], for whole Q
  const Float* targets = nullptr;             // [steps, quantiles]; null: no TD term
  const Float* weights = nullptr;             // [steps], null = 1: importance weights of replay
  const std::uint8_t* mask = nullptr;         // [steps], null: all count
  const std::uint8_t* action_mask = nullptr;  // [steps, actions], null: every action is allowed
  const Float* values = nullptr;              // [steps]: V(s)
  const Float* target_q = nullptr;            // [steps]: target network's Q(s, a)
  const Float* twin_target_q = nullptr;
  const Float* log_probs = nullptr;  // [steps]: policy's log-prob of the action taken; needs policy_weights
  double batch_steps = -1;           // counted steps of the whole optimizer batch; -1 = of this batch
  Float* value_gradients = nullptr;
  Float* log_prob_gradients = nullptr;
  Float* priorities = nullptr;      // [steps]: |TD error|, of twins the larger; quantile: the step's loss
  Float* policy_weights = nullptr;  // [steps]: min(exp(beta · (Q − V)), weight_limit)
};

// Sums over counted steps, weights included, over the number of counted steps (at least 1); twins add up.
struct QLossValue {
  double loss = 0;
  double td = 0;
  double conservative = 0;
  double value = 0;
  double policy = 0;
  double steps = 0;  // counted
  // Means over counted steps, without weights.
  double action_q = 0;  // of the first head
  double target = 0;
  double priority = 0;
  double state_value = 0;
  double policy_weight = 0;
};

}  // namespace adjudge::rl
