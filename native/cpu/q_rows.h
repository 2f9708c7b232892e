// One row of Q over its actions, and the values of next states. Included once per instruction set after its
// lanes. Reads 4 bytes a number (8 with a twin or a second network) from memory, once: passes after the
// first find the row in the caches.
#pragma once
#include "native/cpu/lanes_math.h"
#include "native/cpu/q_kernels.h"

namespace adjudge {
namespace {

// Of twins the smaller counts; what is not allowed does not.
struct QRow {
  const float* q;
  const float* twin;
  const uint8_t* allowed;
  int64_t count;
};

constexpr float no_action = -__builtin_inff();

ADJUDGE_INLINE Mask not_finite(const Lanes& x) {
  return opposite(less(absolute(x), Lanes(__builtin_inff())));
}

ADJUDGE_INLINE bool any_of(const Mask& mask) { return bits_of(mask) != 0; }

ADJUDGE_INLINE bool is_finite(float x) { return __builtin_fabsf(x) < __builtin_inff(); }

// The lanes from i on, minus infinity where there is no action; `bad` gathers what is not finite.
template <bool Twin, bool Masked>
ADJUDGE_INLINE Lanes read_row(const QRow& row, int64_t i, Mask& bad) {
  const int64_t left = row.count - i;
  Lanes x = load_lanes(row.q + i, left);
  Mask wrong = not_finite(x);
  if constexpr (Twin) {
    const Lanes other = load_lanes(row.twin + i, left);
    wrong = either(wrong, not_finite(other));
    x = minimum(x, other);
  }
  if constexpr (Masked) {
    const Mask inside = both(first_lanes(left), nonzero_bytes(row.allowed + i, left));
    bad = either(bad, both(wrong, inside));
    return select(inside, x, Lanes(no_action));
  }
  bad = either(bad, wrong);
  return left >= Lanes::width ? x : select(first_lanes(left), x, Lanes(no_action));
}

// Below it a row is read number by number: vectors would be mostly empty.
constexpr int64_t fewest_actions = 8;

ADJUDGE_INLINE float smaller(const float* q, const float* twin, int64_t i) {
  return twin && twin[i] < q[i] ? twin[i] : q[i];
}

template <bool Twin, bool Masked>
ADJUDGE_INLINE float largest_of_few(const QRow& row, Mask& bad) {
  float top = no_action;
  bool finite = true;
  for (int64_t i = 0; i < row.count; ++i) {
    if (Masked && !row.allowed[i]) continue;
    const float x = smaller(row.q, Twin ? row.twin : nullptr, i);
    finite = finite && is_finite(row.q[i]) && (!Twin || is_finite(row.twin[i]));
    top = x > top ? x : top;
  }
  if (!finite) bad = first_lanes(Lanes::width);
  return top;
}

template <bool Twin, bool Masked>
ADJUDGE_INLINE float largest_of(const QRow& row, Mask& bad) {
  if (row.count < fewest_actions) return largest_of_few<Twin, Masked>(row, bad);
  Lanes first(no_action), second(no_action);
  int64_t i = 0;
  for (; i + 2 * Lanes::width <= row.count; i += 2 * Lanes::width) {
    first = maximum(read_row<Twin, Masked>(row, i, bad), first);
    second = maximum(read_row<Twin, Masked>(row, i + Lanes::width, bad), second);
  }
  for (; i < row.count; i += Lanes::width) first = maximum(read_row<Twin, Masked>(row, i, bad), first);
  return maximum_of(maximum(first, second));
}

// The first action of this value; -1 where there is none.
template <bool Twin, bool Masked>
ADJUDGE_INLINE int64_t action_of(const QRow& row, float value) {
  for (int64_t i = 0; row.count < fewest_actions && i < row.count; ++i) {
    const bool open = !Masked || row.allowed[i];
    if (open && smaller(row.q, Twin ? row.twin : nullptr, i) == value) return i;
  }
  Mask ignored = first_lanes(0);
  for (int64_t i = 0; i < row.count; i += Lanes::width) {
    const uint32_t found = bits_of(equal(read_row<Twin, Masked>(row, i, ignored), Lanes(value)));
    if (found != 0) return i + __builtin_ctz(found);
  }
  return -1;
}

// e^((x - top) x inverse); 0 where there is no action.
ADJUDGE_INLINE Lanes boltzmann(const Lanes& x, float top, float inverse) {
  const Lanes power = exponential((x - Lanes(top)) * Lanes(inverse));
  return select(less(Lanes(no_action), x), power, Lanes(0.0f));
}

template <bool Twin, bool Masked>
ADJUDGE_INLINE double soft_value(const QRow& row, float top, double temperature) {
  const float inverse = static_cast<float>(1 / temperature);
  Mask ignored = first_lanes(0);
  WideSum total;
  for (int64_t i = 0; i < row.count; i += Lanes::width)
    total.add(boltzmann(read_row<Twin, Masked>(row, i, ignored), top, inverse));
  return top + temperature * __builtin_log(total.total());
}

template <bool Twin, bool Masked>
bool next_values_of(const rl::QTargetRule& rule, const rl::QTargetBatch<float>& batch, int64_t first,
                    int64_t end, float* next, uint8_t* greedy) {
  const auto actions = static_cast<int64_t>(batch.actions);
  const bool chosen = rule.bootstrap == rl::Bootstrap::double_q;
  Mask bad = first_lanes(0);
  for (int64_t t = first; t < end; ++t) {
    if (batch.terminated && batch.terminated[t]) continue;
    const QRow row{batch.next_q + t * actions, Twin ? batch.twin_next_q + t * actions : nullptr,
                   Masked ? batch.next_action_mask + t * actions : nullptr, actions};
    const QRow online{chosen ? batch.next_online_q + t * actions : nullptr, nullptr, row.allowed, actions};
    const float top = chosen ? largest_of<false, Masked>(online, bad) : largest_of<Twin, Masked>(row, bad);
    if (top == no_action) return false;
    if (chosen) {
      const int64_t best = action_of<false, Masked>(online, top);
      if (best < 0 || !is_finite(row.q[best]) || (Twin && !is_finite(row.twin[best]))) return false;
      next[t] = smaller(row.q, row.twin, best);
    } else if (rule.bootstrap == rl::Bootstrap::soft) {
      next[t] = static_cast<float>(soft_value<Twin, Masked>(row, top, rule.temperature));
    } else {
      next[t] = top;
    }
    if (!greedy || t + 1 == static_cast<int64_t>(batch.steps)) continue;
    const int32_t following = batch.taken[t + 1];
    const bool open = !Masked || row.allowed[following];
    greedy[t] = open && (chosen ? online.q[following] : smaller(row.q, row.twin, following)) >= top;
  }
  return !any_of(bad);
}

// Sum over an action's quantiles, in f64.
ADJUDGE_INLINE double quantile_sum(const float* q, const float* twin, int64_t quantiles, Mask& bad) {
  WideSum sum;
  for (int64_t k = 0; k < quantiles; k += Lanes::width) {
    Lanes x = load_lanes(q + k, quantiles - k);
    bad = either(bad, not_finite(x));
    if (twin) {
      const Lanes other = load_lanes(twin + k, quantiles - k);
      bad = either(bad, not_finite(other));
      x = minimum(x, other);
    }
    sum.add(x);
  }
  return sum.total();
}

bool next_quantiles(const rl::QTargetRule& rule, const rl::QTargetBatch<float>& batch, int64_t first,
                    int64_t end, float* next) {
  const auto actions = static_cast<int64_t>(batch.actions);
  const auto quantiles = static_cast<int64_t>(batch.quantiles);
  const bool chosen = rule.bootstrap == rl::Bootstrap::double_q;
  const float* const choice = chosen ? batch.next_online_q : batch.next_q;
  const float* const choice_twin = chosen ? nullptr : batch.twin_next_q;
  Mask bad = first_lanes(0);
  for (int64_t t = first; t < end; ++t) {
    if (batch.terminated && batch.terminated[t]) continue;
    int64_t best = -1;
    double top = 0;
    for (int64_t a = 0; a < actions; ++a) {
      const int64_t action = t * actions + a;
      if (batch.next_action_mask && !batch.next_action_mask[action]) continue;
      const int64_t at = action * quantiles;
      const double sum = quantile_sum(choice + at, choice_twin ? choice_twin + at : nullptr, quantiles, bad);
      if (best >= 0 && !(sum > top)) continue;
      best = at;
      top = sum;
    }
    if (best < 0) return false;
    const float* const twin = batch.twin_next_q ? batch.twin_next_q + best : nullptr;
    quantile_sum(batch.next_q + best, twin, quantiles, bad);
    for (int64_t k = 0; k < quantiles; ++k) next[t * quantiles + k] = smaller(batch.next_q + best, twin, k);
  }
  return !any_of(bad);
}

bool next_values(const rl::QTargetRule& rule, const rl::QTargetBatch<float>& batch, int64_t first,
                 int64_t end, float* next, uint8_t* greedy) {
  if (batch.quantiles != 1) return next_quantiles(rule, batch, first, end, next);
  const auto body =
      batch.twin_next_q
          ? (batch.next_action_mask ? next_values_of<true, true> : next_values_of<true, false>)
          : (batch.next_action_mask ? next_values_of<false, true> : next_values_of<false, false>);
  return body(rule, batch, first, end, next, greedy);
}

}  // namespace
}  // namespace adjudge
