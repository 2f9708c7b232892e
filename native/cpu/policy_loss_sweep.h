// The bodies of the policy loss's table, included once per instruction set after its lanes.
#pragma once
#include <cstring>

#include "native/cpu/lanes_math.h"
#include "native/cpu/policy_loss_kernels.h"
#include "native/cpu/policy_loss_rows.h"
#include "native/rules/kl_terms.h"
#include "native/rules/loss_terms.h"

namespace adjudge {
namespace {

ADJUDGE_INLINE void store_bits(uint8_t* to, int64_t at, const Mask& mask) {
  const uint32_t bits = bits_of(mask);
  std::memcpy(to + at / 8, &bits, static_cast<size_t>(Lanes::width / 8));
}

// Reads 8 to 20 bytes a token and writes 4 to 8, about 90 operations with one exponential, two with k3.
template <rl::LossKind kind>
void sweep(const rl::LossConstants& constants, const LossBlock& block, LossSums& sums) {
  const rl::LossConstants rule = constants;
  const LossBlock b = block;
  const bool stream =
      b.stream && reinterpret_cast<uintptr_t>(b.gradients) % (static_cast<size_t>(Lanes::width) * 4) == 0;
  const Lanes zero(0.0f), one(1.0f), kl_coefficient(rule.kl.coefficient);
  Lanes loss_sum = zero, bonus_sum = zero, kl_sum = zero, entropy_sum = zero, phi_sum = zero;
  Lanes ratio_sum = zero, ratio_max = zero, change_sum = zero, bounded_sum = zero, absolute_sum = zero;
  int64_t bound = 0, selected = 0;
  // `left` tokens from i on: a whole vector, or what is left at the end.
  const auto step = [&](int64_t i, int64_t left) __attribute__((always_inline)) {
    const Mask counted = counted_lanes(b.mask, i, left);
    rl::TokenLanes<Lanes> token;
    token.log_prob = load_lanes(b.log_probs + i, left);
    token.old_log_prob = load_lanes(b.old_log_probs + i, left);
    token.advantage = load_lanes(b.advantages + i, left);
    token.row_weight = one;
    token.selected = less(zero, zero);
    const Lanes weight = load_lanes(b.weights + i, left);
    const Lanes change = token.log_prob - token.old_log_prob;
    Lanes bounded = change, own_slope;
    if (b.ratios == nullptr) {
      const rl::RatioLanes<Lanes> ratio = rl::token_ratio(rule, change);
      token.ratio = ratio.value;
      own_slope = ratio.slope;
      bounded = ratio.bounded;
    } else {
      token.ratio = load_lanes(b.ratios + i, left);
      own_slope = load_lanes(b.own_slopes + i, left);
    }
    if constexpr (kind == rl::LossKind::clip_cov || kind == rl::LossKind::kl_cov) {
      token.selected = nonzero_bytes(b.selected + i, left);
      selected += __builtin_popcount(bits_of(both(counted, token.selected)));
    }
    if constexpr (kind == rl::LossKind::vespo) {
      token.row_weight = select(less(token.advantage, zero), load_lanes(b.phi_negative + i, left),
                                load_lanes(b.phi_positive + i, left));
      phi_sum = phi_sum + select(counted, token.row_weight, zero);
    }
    const rl::TermLanes<Lanes> term = rl::loss_term_lanes<Lanes>(kind, rule, token);
    const Mask teaches = b.teaches != nullptr ? nonzero_bytes(b.teaches + i, left) : counted;
    Lanes factor = one;
    if (b.drifted != nullptr) {
      const Mask out = both(less(token.advantage, zero), less(zero, load_lanes(b.drifted + i, left)));
      factor = select(out, zero, one);
    }
    Lanes loss, gradient, row_slope = zero;
    if constexpr (kind == rl::LossKind::gmpo) {
      loss = -token.advantage * load_lanes(b.means + i, left) * factor;
      const Lanes slope = load_lanes(b.mean_slopes + i, left);
      gradient = select(teaches, slope * rl::held_log_ratio_lanes(rule, change, token.advantage).slope, zero);
    } else {
      if constexpr (kind != rl::LossKind::vespo) {
        if (b.importance_weights != nullptr) factor = factor * load_lanes(b.importance_weights + i, left);
      }
      if (b.teaches != nullptr) factor = select(teaches, factor, zero);
      loss = term.value * factor;
      gradient = weight * (multiply_add(term.ratio_slope, own_slope, term.log_prob_slope) * factor);
      row_slope = term.ratio_slope * factor;
    }
    if (b.reference_log_probs != nullptr) {
      const rl::KlLanes<Lanes> kl = rl::kl_lanes(
          rule.kl, token.log_prob, load_lanes(b.reference_log_probs + i, left), token.old_log_prob);
      Lanes value = kl.value, slope = kl.gradient;
      if (rule.kl.ratio_weighted) {
        value = kl.value * token.ratio;
        slope = kl.gradient * token.ratio + kl.value * own_slope;
        row_slope = multiply_add(kl_coefficient, kl.value, row_slope);
      }
      kl_sum = kl_sum + select(counted, value, zero);
      loss = multiply_add(kl_coefficient, value, loss);
      gradient = multiply_add(weight * kl_coefficient, slope, gradient);
    }
    if (b.entropies != nullptr) {
      const Lanes entropy = load_lanes(b.entropies + i, left);
      entropy_sum = entropy_sum + select(counted, entropy, zero);
      const Lanes bonus = select(both(counted, teaches), load_lanes(b.bonus_weights + i, left), zero);
      bonus_sum = bonus_sum + bonus * select(counted, entropy, zero);
      if (b.entropy_gradients != nullptr) store_lanes(b.entropy_gradients + i, zero - bonus, left);
    }
    loss_sum = loss_sum + select(counted, weight * loss, zero);
    ratio_sum = ratio_sum + select(counted, token.ratio, zero);
    ratio_max = maximum(ratio_max, select(counted, token.ratio, zero));
    const Lanes counted_change = select(counted, change, zero);
    change_sum = change_sum + counted_change;
    bounded_sum = bounded_sum + select(counted, bounded, zero);
    absolute_sum = absolute_sum + absolute(counted_change);
    gradient = select(counted, gradient, zero);
    if (stream && left >= Lanes::width)
      stream_lanes(b.gradients + i, gradient);
    else
      store_lanes(b.gradients + i, gradient, left);
    if (b.row_slopes != nullptr)
      store_lanes(b.row_slopes + i, select(counted, weight * row_slope, zero), left);
    store_bits(b.low, i, both(counted, term.low));
    store_bits(b.high, i, both(counted, term.high));
    store_bits(b.dual, i, both(counted, term.dual));
    bound += __builtin_popcount(bits_of(both(counted, term.bound)));
  };
  int64_t i = 0;
  for (; i + Lanes::width <= b.count; i += Lanes::width) step(i, Lanes::width);
  if (i < b.count) step(i, b.count - i);
  sums.bound += bound;
  sums.selected += selected;
  sums.loss += sum_of(loss_sum);
  sums.bonus += sum_of(bonus_sum);
  sums.kl += sum_of(kl_sum);
  sums.entropy += sum_of(entropy_sum);
  sums.ratio += sum_of(ratio_sum);
  const double largest = static_cast<double>(maximum_of(ratio_max));
  if (largest > sums.ratio_max) sums.ratio_max = largest;
  sums.old_kl -= sum_of(change_sum);
  sums.old_kl_bounded -= sum_of(bounded_sum);
  sums.old_kl_absolute += sum_of(absolute_sum);
  sums.phi += sum_of(phi_sum);
}

// Bounds of TRL's: reference/loss_weighted.h.
constexpr float vespo_limit = 20.0f;
constexpr float vespo_smallest = 1e-8f;
constexpr float vespo_largest = 485165195.4f;  // e^20
constexpr float importance_floor = 1e-10f;

// a - b and what its rounding left out: the ratio of a long row depends on both.
struct Difference {
  Lanes value;
  Lanes rest;
};

ADJUDGE_INLINE Difference exact_difference(const Lanes& a, const Lanes& b) {
  const Lanes value = a - b;
  const Lanes taken = value - a;
  return {value, (a - (value - taken)) - (b + taken)};
}

// The log of a product, of numbers between 1e-19 and 1e19: one logarithm for many factors.
struct LogProduct {
  WideProduct product;
  int64_t factors = 0;
  double log = 0;
  void multiply(const Lanes& x) {
    product.multiply(x);
    if (++factors % 16 == 0) take();
  }
  void take() {
    log += product.log();
    product = {};
  }
  double total() {
    take();
    return log;
  }
};

void sum_row(const rl::LossConstants& constants, const RowTokens& row, RowSums& sums) {
  const rl::LossConstants rule = constants;
  const RowTokens r = row;
  const Lanes zero(0.0f), one(1.0f);
  WideSum change_sum, drift, log_weight, held, positive, negative;
  LogProduct importances;
  int64_t taught = 0;
  for (int64_t i = 0; i < r.count; i += Lanes::width) {
    const int64_t left = r.count - i;
    const Mask counted = counted_lanes(r.mask, i, left);
    const Lanes log_prob = load_lanes(r.log_probs + i, left);
    const Difference difference = exact_difference(log_prob, load_lanes(r.old_log_probs + i, left));
    const Lanes change = difference.value;
    change_sum.add(select(counted, change, zero));
    change_sum.add(select(counted, difference.rest, zero));
    if (r.drift) {
      const float* source = r.rollout_log_probs != nullptr ? r.rollout_log_probs : r.old_log_probs;
      const Lanes rollout = load_lanes(source + i, left);
      drift.add(select(both(counted, equal(rollout, rollout)), rollout - log_prob, zero));
    }
    if (rule.kind == rl::LossKind::vespo) {
      const Lanes limit(vespo_limit);
      log_weight.add(select(counted, minimum(maximum(change, -limit), limit), zero));
      const Mask inside = both(counted, less(absolute(change), limit));
      log_weight.add(select(inside, difference.rest, zero));
      if (r.importance_weights != nullptr) {
        const Lanes importance = load_lanes(r.importance_weights + i, left);
        const Mask in = r.masked_importance ? first_lanes(left) : counted;
        importances.multiply(
            select(in, minimum(maximum(importance, Lanes(vespo_smallest)), Lanes(vespo_largest)), one));
      }
    }
    if (rule.kind == rl::LossKind::gmpo) {
      const Lanes advantage =
          r.advantages != nullptr ? load_lanes(r.advantages + i, left) : Lanes(r.advantage);
      const Mask teaches = r.teaches != nullptr ? both(counted, nonzero_bytes(r.teaches + i, left)) : counted;
      held.add(select(teaches, rl::held_log_ratio_lanes(rule, change, advantage).value, zero));
      taught += __builtin_popcount(bits_of(teaches));
      const Mask falls = less(advantage, zero);
      positive.add(select(both(counted, opposite(falls)), advantage, zero));
      negative.add(select(both(counted, falls), advantage, zero));
      if (r.importance_weights != nullptr) {
        const Lanes importance = load_lanes(r.importance_weights + i, left) + Lanes(importance_floor);
        importances.multiply(select(counted, importance, one));
      }
    }
  }
  sums = {change_sum.total(),          drift.total(),       log_weight.total(), held.total(),
          static_cast<double>(taught), importances.total(), positive.total(),   negative.total()};
}

double sum(const float* values, int64_t count) {
  WideSum total;
  for (int64_t i = 0; i < count; i += Lanes::width) total.add(load_lanes(values + i, count - i));
  return total.total();
}

void add_counted(float* values, const uint8_t* mask, int64_t count, float change) {
  const Lanes zero(0.0f);
  for (int64_t i = 0; i < count; i += Lanes::width) {
    const int64_t left = count - i;
    const Lanes step = select(counted_lanes(mask, i, left), Lanes(change), zero);
    store_lanes(values + i, load_lanes(values + i, left) + step, left);
  }
}

int64_t count_bytes(const uint8_t* bytes, int64_t count) {
  int64_t result = 0;
  for (int64_t i = 0; i < count; i += Lanes::width) {
    result += __builtin_popcount(bits_of(nonzero_bytes(bytes + i, count - i)));
  }
  return result;
}

int64_t count_bits(const uint8_t* bits, int64_t begin, int64_t end) {
  int64_t result = 0;
  for (int64_t at = begin; at < end;) {
    const int64_t word = at / 64, first = at % 64;
    const int64_t last = end - word * 64 < 64 ? end - word * 64 : 64;
    uint64_t value;
    std::memcpy(&value, bits + word * 8, 8);
    value >>= first;
    if (last - first < 64) value &= (uint64_t{1} << (last - first)) - 1;
    result += __builtin_popcountll(value);
    at = word * 64 + last;
  }
  return result;
}

template <rl::LossKind kind>
constexpr RowSweeps row_sweeps = {{{sweep_row<kind, false, false>, sweep_row<kind, false, true>},
                                   {sweep_row<kind, true, false>, sweep_row<kind, true, true>}}};

constexpr PolicyLossKernels policy_loss_table = {
    {sweep<rl::LossKind::policy_gradient>, sweep<rl::LossKind::clip>, sweep<rl::LossKind::cispo>,
     sweep<rl::LossKind::sapo>, sweep<rl::LossKind::vespo>, sweep<rl::LossKind::gmpo>,
     sweep<rl::LossKind::dppo_tv>, sweep<rl::LossKind::dppo_kl>, sweep<rl::LossKind::dro>,
     sweep<rl::LossKind::clip_cov>, sweep<rl::LossKind::kl_cov>},
    {row_sweeps<rl::LossKind::policy_gradient>,
     row_sweeps<rl::LossKind::clip>,
     row_sweeps<rl::LossKind::cispo>,
     row_sweeps<rl::LossKind::sapo>,
     {},  // vespo, gmpo: a row is read first
     {},
     row_sweeps<rl::LossKind::dppo_tv>,
     row_sweeps<rl::LossKind::dppo_kl>,
     row_sweeps<rl::LossKind::dro>,
     {},  // clip_cov, kl_cov: tokens are singled out
     {}},
    sweep_fixed_row,
    sweep_entropies,
    sum_log_ratios,
    gather,
    sum_row,
    sum,
    add_counted,
    count_bytes,
    count_bits};

}  // namespace
}  // namespace adjudge
