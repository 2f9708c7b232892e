// One group by any rule, or any stretch of completions, in f64: large groups, unscored members, weights.
#pragma once
#include "native/cpu/group_advantages_kernels.h"
#include "native/cpu/group_advantages_vectors.h"

namespace adjudge {
namespace {

struct Members {
  Doubles value;     // 0 where not scored
  DoublesMask mask;  // -1: scored
};

ADJUDGE_INLINE Doubles only(const DoublesMask& mask, const Doubles& x) {
  return (Doubles)((DoublesMask)x & mask);
}

ADJUDGE_INLINE Doubles bounded(const Doubles& x, double low, double high) {
  const Doubles above = x < low ? Doubles{} + low : x;
  return above > high ? Doubles{} + high : above;
}

ADJUDGE_INLINE double total(const Doubles& x) {
  double sum = 0;
  for (int64_t i = 0; i < double_lanes; ++i) sum += x[i];
  return sum;
}

// The first `left` of them; NaN in the other lanes.
ADJUDGE_INLINE HalfSingles load_half(const float* from, int64_t left) {
  if (left >= double_lanes) return loaded<HalfSingles>(from);
  HalfSingles part = HalfSingles{} + __builtin_nanf("");
  for (int64_t i = 0; i < left; ++i) part[i] = from[i];
  return part;
}

ADJUDGE_INLINE Members load_members(const GroupRule& rule, const GroupArrays& arrays, int64_t i,
                                    int64_t left) {
  const Doubles reward = widened(load_half(arrays.rewards + i, left));
  Members members;
  members.mask = reward == reward;
  if (arrays.scored != nullptr) {
    for (int64_t k = 0; k < double_lanes && k < left; ++k) {
      if (arrays.scored[i + k] == 0) members.mask[k] = 0;
    }
  }
  Doubles value = reward * rule.weight;
  if (rule.bounds_first) value = bounded(value, rule.low, rule.high);
  members.value = only(members.mask, value);
  return members;
}

ADJUDGE_INLINE bool is_scored(const GroupArrays& arrays, int64_t i) {
  return arrays.rewards[i] == arrays.rewards[i] && (arrays.scored == nullptr || arrays.scored[i] != 0);
}

// About the first scored value, so that the mean of equal numbers is exactly that number.
RewardSums sum(const GroupRule& rule, const GroupArrays& arrays, int64_t begin, int64_t end) {
  const GroupRule r = rule;
  const GroupArrays a = arrays;
  while (begin < end && !is_scored(a, begin)) ++begin;
  if (begin == end) return {};
  const double first = load_members(r, a, begin, end - begin).value[0];
  Doubles distances = {}, squares = {};
  DoublesMask infinite = {}, scored = {};
  for (int64_t i = begin; i < end; i += double_lanes) {
    const Members members = load_members(r, a, i, end - i);
    // Infinity less itself is no number.
    infinite |= (members.value - members.value) != 0.0;
    const Doubles distance = only(members.mask, members.value - first);
    distances += distance;
    squares = fused(distance, distance, squares);
    scored -= members.mask;
  }
  int64_t count = 0;
  for (int64_t i = 0; i < double_lanes; ++i) count += scored[i];
  const double sum = total(distances), shift = sum / static_cast<double>(count);
  const double about_mean = total(squares) - sum * shift;
  return {count, first + shift, about_mean > 0 ? about_mean : 0, bits_of(infinite) != 0};
}

struct Line {
  double centre;
  double factor;
  bool compared;
};

ADJUDGE_INLINE Line line_of(const GroupRule& rule, const RewardSums& group) {
  const auto count = static_cast<double>(group.count);
  const bool alone = group.count == 1 && rule.alone;
  Line line{rule.batch_centre, rule.batch_factor, !(alone && rule.alone_zero)};
  if (rule.centre == GroupCentre::group) {
    line.centre = alone ? 0 : group.mean;
    if (rule.leave_one_out && group.count > 1) line.factor *= count / (count - 1);
  }
  if (rule.group_scale) {
    const double divisor = count - (rule.bessel ? 1.0 : 0.0);
    const double deviation = alone ? 1.0 : divisor > 0 ? __builtin_sqrt(group.squares / divisor) : 0.0;
    line.factor /= deviation + rule.epsilon;
  }
  return line;
}

// Completions [begin, end), to `to`.
void write_members(const GroupRule& rule, const GroupArrays& arrays, const Line& line, int64_t begin,
                   int64_t end, float* to) {
  const GroupRule r = rule;
  const GroupArrays a = arrays;
  for (int64_t i = begin; i < end; i += double_lanes) {
    const int64_t left = end - i;
    const Members members = load_members(r, a, i, left);
    Doubles centre = Doubles{} + line.centre;
    if (r.centre == GroupCentre::given) {
      centre = widened(load_half(a.baselines + i, left));
    }
    Doubles value = (members.value - centre) * line.factor;
    if (r.bounds_last) value = bounded(value, r.low, r.high);
    value = only(line.compared ? members.mask : DoublesMask{}, value);
    const HalfSingles rounded = narrowed(value);
    if (left >= double_lanes) {
      put(to + (i - begin), rounded);
    } else {
      for (int64_t k = 0; k < left; ++k) to[i - begin + k] = rounded[k];
    }
  }
}

}  // namespace
}  // namespace adjudge
