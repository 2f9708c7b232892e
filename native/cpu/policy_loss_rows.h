// Row kernels of the policy loss for plain rules: what belongs to a row stays in registers, its tokens are
// read and written once. Included by policy_loss_sweep.h.
#pragma once
#include "native/cpu/lanes_math.h"
#include "native/cpu/policy_loss_kernels.h"
#include "native/rules/loss_terms.h"

namespace adjudge {
namespace {

ADJUDGE_INLINE int64_t count_of(const Mask& mask) { return __builtin_popcount(bits_of(mask)); }

// The lanes of LossLanes, in registers.
struct RowLanes {
  Lanes loss, kl, ratio, change, absolute_change, largest;
};

ADJUDGE_INLINE RowLanes lanes_from(const LossLanes& memory) {
  const auto at = [&](int64_t i) { return load_lanes(memory.lanes[i], Lanes::width); };
  return {at(0), at(1), at(2), at(3), at(4), load_lanes(memory.largest, Lanes::width)};
}

ADJUDGE_INLINE void lanes_to(LossLanes& memory, const RowLanes& lanes) {
  const auto put = [&](int64_t i, const Lanes& x) { store_lanes(memory.lanes[i], x, Lanes::width); };
  put(0, lanes.loss), put(1, lanes.kl), put(2, lanes.ratio), put(3, lanes.change),
      put(4, lanes.absolute_change);
  store_lanes(memory.largest, lanes.largest, Lanes::width);
}

ADJUDGE_INLINE void gather_lanes(LossLanes& memory) {
  for (int64_t sum = 0; sum < LossLanes::sums; ++sum) {
    for (int64_t i = 0; i < Lanes::width; ++i) {
      memory.gathered[sum][i] += static_cast<double>(memory.lanes[sum][i]);
      memory.lanes[sum][i] = 0;
    }
  }
  memory.vectors = 0;
}

void gather(const LossLanes& lanes, LossSums& sums) {
  LossLanes last = lanes;
  gather_lanes(last);
  double totals[LossLanes::sums] = {};
  for (int64_t sum = 0; sum < LossLanes::sums; ++sum) {
    for (int64_t i = 0; i < Lanes::width; ++i) totals[sum] += last.gathered[sum][i];
  }
  sums.loss += totals[0];
  sums.kl += totals[1];
  sums.ratio += totals[2];
  sums.old_kl -= totals[3];
  sums.old_kl_bounded -= totals[3];  // a plain rule has no bounds
  sums.old_kl_absolute += totals[4];
  for (int64_t i = 0; i < Lanes::width; ++i) {
    const auto largest = static_cast<double>(last.largest[i]);
    if (largest > sums.ratio_max) sums.ratio_max = largest;
  }
}

// Of a vector of a row: all its tokens are there and count, or perhaps not.
struct Whole {
  static constexpr bool whole = true;
};
struct Part {
  static constexpr bool whole = false;
};

// Calls step(at, left, counted, whole) for the vectors of a row: `whole` ones have all their tokens, and all
// of them count. Where gradients go past the caches, whole vectors start at a multiple of their size.
template <typename Step>
ADJUDGE_INLINE void for_vectors(const LossRow& row, LossLanes& memory, const Step& step) {
  constexpr int64_t width = Lanes::width;
  RowLanes lanes = lanes_from(memory);
  const int64_t count = row.count;
  const uint8_t* mask = row.mask;
  int64_t vectors = memory.vectors;
  int64_t i = 0;
  if (row.stream) {
    const auto past = reinterpret_cast<uintptr_t>(row.gradients) / sizeof(float) % width;
    const int64_t head = past == 0 ? 0 : width - static_cast<int64_t>(past);
    const int64_t left = head < count ? head : count;
    if (left > 0) {
      step(lanes, i, left, counted_lanes(mask, i, left), Part{});
      i = left;
      ++vectors;
    }
  }
  for (;;) {
    const int64_t room = vectors < loss_gathered_vectors ? loss_gathered_vectors - vectors : 0;
    const int64_t ready = (count - i) / width < room ? (count - i) / width : room;
    const int64_t until = i + ready * width;
    if (mask == nullptr) {
      for (; i < until; i += width) step(lanes, i, width, first_lanes(width), Whole{});
    } else {
      for (; i < until; i += width) step(lanes, i, width, nonzero_bytes(mask + i, width), Part{});
    }
    vectors += ready;
    if (vectors < loss_gathered_vectors && i < count) {
      step(lanes, i, count - i, counted_lanes(mask, i, count - i), Part{});
      i = count;
      ++vectors;
    }
    lanes_to(memory, lanes);
    memory.vectors = vectors;
    if (vectors < loss_gathered_vectors) return;
    gather_lanes(memory);
    vectors = 0;
    if (i == count) return;
    const Lanes zero(0.0f);
    lanes = {zero, zero, zero, zero, zero, lanes.largest};
  }
}

// x where `counted`, else 0; a whole vector counts.
template <typename Kind>
ADJUDGE_INLINE Lanes only(Kind, const Mask& counted, const Lanes& x) {
  return Kind::whole ? x : select(counted, x, Lanes(0.0f));
}

template <typename Kind>
ADJUDGE_INLINE void add_to(Lanes& sum, Kind, const Mask& counted, const Lanes& x) {
  sum = Kind::whole ? sum + x : select(counted, sum + x, sum);
}

template <typename Kind>
ADJUDGE_INLINE void put_gradient(const LossRow& row, int64_t i, int64_t left, Kind, const Lanes& gradient) {
  if (row.stream && left >= Lanes::width)
    stream_lanes(row.gradients + i, gradient);
  else
    store_lanes(row.gradients + i, gradient, Kind::whole ? Lanes::width : left);
}

// k3 and minus its derivative: value = growth - d with growth = e^d - 1, d = reference - log-prob.
struct Growth {
  Lanes value;
  Lanes growth;
};

ADJUDGE_INLINE Growth growth_of(const Lanes& log_prob, const Lanes& reference) {
  const Lanes d = minimum(reference - log_prob, Lanes(88.3f));
  const Lanes growth = limited_exponential_minus_one(d);
  return {growth - d, growth};
}

// Asks for what a later step reads, into the second cache: the arithmetic of a few vectors fills the
// processor's window, which leaves it no room to look far ahead by itself.
ADJUDGE_INLINE void expect(const float* from) {
  constexpr int64_t ahead = 512;  // floats
  __builtin_prefetch(from + ahead, 0, 2);
}

// Each token with a ratio of its own. Reads 8 bytes a token and 4 for each of KL, advantages and importance
// weights, and writes 4; about 40 operations with two exponentials.
template <rl::LossKind kind, bool per_token, bool with_kl>
void sweep_row(const rl::LossConstants& constants, LossRow& row, LossLanes& memory) {
  constexpr bool one_clip_range = kind == rl::LossKind::clip && !per_token;
  const rl::LossConstants rule = constants;
  const LossRow r = row;
  const Lanes row_advantage(r.advantage), weight(r.weight), one(1.0f), zero(0.0f);
  const Lanes policy_weight(-r.advantage * r.weight), kl_coefficient(rule.kl.coefficient);
  const Lanes kl_weight(-r.weight * rule.kl.coefficient), limit(rl::single_overflow_limit);
  const rl::ClipRange<Lanes> range = rl::clip_range(rule, row_advantage);
  const Lanes lowest = range.lowest, highest = range.highest;
  const Lanes clip_low(rule.ratio_low), clip_high(rule.ratio_high), opposite_advantage = -row_advantage;
  const bool dual_clips = r.advantage < 0 && rule.dual_clip < rl::single_infinity;
  int64_t low = 0, high = 0, dual = 0, bound = 0;
  for_vectors(
      r, memory,
      [&](RowLanes & sums, int64_t i, int64_t left, const Mask& counted,
          auto part) __attribute__((always_inline)) {
        constexpr bool whole = decltype(part)::whole;
        const int64_t room = whole ? Lanes::width : left;
        expect(r.log_probs + i);
        expect(r.old_log_probs + i);
        if constexpr (with_kl) expect(r.reference_log_probs + i);
        const Lanes log_prob = load_lanes(r.log_probs + i, room);
        const Lanes old_log_prob = load_lanes(r.old_log_probs + i, room);
        const Lanes advantage = per_token ? load_lanes(r.advantages + i, room) : row_advantage;
        const Lanes change = log_prob - old_log_prob;
        const Lanes ratio = limited_exponential(minimum(change, limit));
        const auto count = [&](const Mask& lanes) __attribute__((always_inline)) {
          return count_of(whole ? lanes : both(counted, lanes));
        };
        const rl::TokenLanes<Lanes> token{log_prob, old_log_prob, ratio, advantage, one, less(zero, zero)};
        Lanes loss, gradient;
        if constexpr (one_clip_range) {
          const Lanes held = minimum(maximum(ratio, lowest), highest);
          loss = opposite_advantage * held;
          gradient = select(equal(held, ratio), policy_weight * ratio, zero);
          low += count(less(ratio, clip_low));
          high += count(less(clip_high, ratio));
          if (dual_clips) dual += count(rl::clip_lanes(rule, token).dual);
        } else {
          const rl::TermLanes<Lanes> term = rl::loss_term_lanes<Lanes>(kind, rule, token);
          loss = term.value;
          gradient = weight * multiply_add(term.ratio_slope, ratio, term.log_prob_slope);
          low += count(term.low);
          high += count(term.high);
          dual += count(term.dual);
          bound += count(term.bound);
        }
        if (r.importance_weights != nullptr) {
          const Lanes importance = load_lanes(r.importance_weights + i, room);
          loss = loss * importance;
          gradient = gradient * importance;
        }
        if constexpr (with_kl) {
          const Growth kl = growth_of(log_prob, load_lanes(r.reference_log_probs + i, room));
          loss = multiply_add(kl_coefficient, kl.value, loss);
          gradient = multiply_add(kl_weight, kl.growth, gradient);
          add_to(sums.kl, part, counted, kl.value);
        }
        put_gradient(r, i, left, part, only(part, counted, gradient));
        sums.loss = multiply_add(weight, only(part, counted, loss), sums.loss);
        add_to(sums.ratio, part, counted, ratio);
        sums.largest = maximum(only(part, counted, ratio), sums.largest);
        add_to(sums.change, part, counted, change);
        add_to(sums.absolute_change, part, counted, absolute(change));
      });
  row.low = low;
  row.high = high;
  row.dual = dual;
  row.bound = bound;
  if (one_clip_range) {
    row.low = r.advantage < 0 ? low : 0;
    row.high = r.advantage > 0 ? high : 0;
    row.bound = low + high;
  }
}

// One ratio for the row: its policy term has one gradient, and only the KL differs from token to token.
void sweep_fixed_row(const rl::LossConstants& constants, LossRow& row, LossLanes& memory) {
  const LossRow r = row;
  const Lanes fixed(r.gradient), weight(r.weight * constants.kl.coefficient), opposite_weight = -weight;
  for_vectors(
      r, memory,
      [&](RowLanes & sums, int64_t i, int64_t left, const Mask& counted, auto part)
          __attribute__((always_inline)) {
            Lanes gradient = fixed;
            if (r.reference_log_probs != nullptr) {
              const int64_t room = decltype(part)::whole ? Lanes::width : left;
              const Growth kl =
                  growth_of(load_lanes(r.log_probs + i, room), load_lanes(r.reference_log_probs + i, room));
              gradient = multiply_add(opposite_weight, kl.growth, gradient);
              add_to(sums.kl, part, counted, kl.value);
              sums.loss = multiply_add(weight, only(part, counted, kl.value), sums.loss);
            }
            put_gradient(r, i, left, part, only(part, counted, gradient));
          });
}

EntropySums sweep_entropies(const float* entropies, const uint8_t* mask, int64_t count, float weight,
                            float* gradients) {
  WideSum total;
  const Lanes zero(0.0f), slope(0.0f - weight);
  for (int64_t i = 0; i < count; i += Lanes::width) {
    const int64_t left = count - i;
    const Mask counted = counted_lanes(mask, i, left);
    total.add(select(counted, load_lanes(entropies + i, left), zero));
    if (gradients != nullptr) store_lanes(gradients + i, select(counted, slope, zero), left);
  }
  const double entropy = total.total();
  return {entropy, entropy * static_cast<double>(weight)};
}

LogRatioSums sum_log_ratios(const float* log_probs, const float* old_log_probs, const uint8_t* mask,
                            int64_t count) {
  constexpr int64_t block = Lanes::width * loss_gathered_vectors;
  const Lanes zero(0.0f);
  WideSum change, magnitude;
  for (int64_t begin = 0; begin < count; begin += block) {
    const int64_t end = begin + block < count ? begin + block : count;
    Lanes sum = zero, absolute_sum = zero;
    int64_t i = begin;
    const auto add = [&](int64_t left, bool all) __attribute__((always_inline)) {
      Lanes d = load_lanes(log_probs + i, left) - load_lanes(old_log_probs + i, left);
      if (!all) d = select(counted_lanes(mask, i, left), d, zero);
      sum = sum + d;
      absolute_sum = absolute_sum + absolute(d);
    };
    if (mask == nullptr) {
      for (; i + Lanes::width <= end; i += Lanes::width) add(Lanes::width, true);
    }
    for (; i < end; i += Lanes::width) add(end - i, false);
    change.add(sum);
    magnitude.add(absolute_sum);
  }
  return {change.total(), magnitude.total()};
}

}  // namespace
}  // namespace adjudge
