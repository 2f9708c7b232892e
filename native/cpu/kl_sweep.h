// The bodies of KL's table, included once per instruction set after its lanes.
#pragma once
#include "native/cpu/kl_kernels.h"
#include "native/cpu/lanes_math.h"
#include "native/rules/kl_terms.h"

namespace adjudge {
namespace {

// Reads 8 bytes a token, 12 with old log-probs, and the mask; writes 8; about 10 operations, 35 with k3.
void kl_tokens_sweep(const rl::KlConstants& constants, const KlTokens& tokens) {
  const rl::KlConstants rule = constants;
  const KlTokens t = tokens;
  const Lanes zero(0.0f);
  for (int64_t i = 0; i < t.count; i += Lanes::width) {
    const int64_t left = t.count - i;
    const Mask counted = counted_lanes(t.mask, i, left);
    const Lanes log_prob = load_lanes(t.log_probs + i, left);
    const Lanes old = t.old_log_probs != nullptr ? load_lanes(t.old_log_probs + i, left) : log_prob;
    const rl::KlLanes<Lanes> kl = rl::kl_lanes<Lanes>(rule, log_prob, load_lanes(t.reference + i, left), old);
    store_lanes(t.values + i, select(counted, kl.value, zero), left);
    store_lanes(t.gradients + i, select(counted, kl.gradient, zero), left);
  }
}

ADJUDGE_INLINE Lanes reward_step(const rl::KlConstants& rule, const KlRewardRow& r, int64_t i, int64_t left,
                                 WideSum& sum) {
  const Lanes zero(0.0f);
  const Mask counted = counted_lanes(r.mask, i, left);
  Lanes kl = zero;
  if (r.kl != nullptr) {
    kl = load_lanes(r.kl + i, left);
  } else if (r.log_probs != nullptr) {
    const Lanes log_prob = load_lanes(r.log_probs + i, left);
    kl = rl::kl_lanes<Lanes>(rule, log_prob, load_lanes(r.reference + i, left), log_prob).value;
  }
  kl = select(counted, kl, zero);
  sum.add(kl);
  const Lanes reward = r.token_rewards != nullptr ? load_lanes(r.token_rewards + i, left) : zero;
  Lanes result = select(counted, reward - Lanes(rule.coefficient) * kl, zero);
  if (r.last >= i && r.last < i + Lanes::width) {
    float rewards[Lanes::width] = {};
    rewards[r.last - i] = r.reward;
    result = result + load_lanes(rewards, Lanes::width);
  }
  return result;
}

// Reads 8 to 12 bytes a token and the mask, writes 4; about 10 operations, 35 with k3.
double kl_reward_row(const rl::KlConstants& constants, const KlRewardRow& row) {
  rl::KlConstants rule = constants;
  rule.gradient = rl::KlGradient::value;  // the others' is not computed
  const KlRewardRow r = row;
  WideSum sum;
  int64_t i = 0;
  if (r.stream) {
    const auto misplaced =
        static_cast<int64_t>(reinterpret_cast<uintptr_t>(r.results) / sizeof(float)) % Lanes::width;
    if (misplaced != 0 && r.count >= Lanes::width) {
      // Up to the first aligned place.
      KlRewardRow head = r;
      head.count = Lanes::width - misplaced;
      if (head.last >= head.count) head.last = -1;
      store_lanes(r.results, reward_step(rule, head, 0, head.count, sum), head.count);
      i = head.count;
    }
    for (;
         i + Lanes::width <= r.count && reinterpret_cast<uintptr_t>(r.results + i) % (Lanes::width * 4) == 0;
         i += Lanes::width)
      stream_lanes(r.results + i, reward_step(rule, r, i, Lanes::width, sum));
  }
  for (; i < r.count; i += Lanes::width)
    store_lanes(r.results + i, reward_step(rule, r, i, r.count - i, sum), r.count - i);
  return sum.total();
}

constexpr KlKernels kl_table = {kl_tokens_sweep, kl_reward_row};

}  // namespace
}  // namespace adjudge
