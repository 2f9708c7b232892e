// The bodies of the group advantages' table, included once per instruction set. Eight completions at a time,
// in f64; a group of up to eight stays in registers, a larger one is read three times from the cache.
#pragma once
#include "native/cpu/group_advantages_kernels.h"
#include "native/cpu/lanes8.h"

namespace adjudge {
namespace {

typedef int64_t i64x8 __attribute__((vector_size(64)));

struct Members {
  f64x8 value;    // 0 where not scored
  i64x8 mask;     // -1: scored
  uint32_t bits;  // the same, one bit each
};

ADJUDGE_INLINE f64x8 only(const i64x8& mask, const f64x8& x) { return mask ? x : f64x8{}; }

ADJUDGE_INLINE f64x8 bounded(const f64x8& x, double low, double high) {
  const f64x8 above = x < low ? f64x8{} + low : x;
  return above > high ? f64x8{} + high : above;
}

ADJUDGE_INLINE double total(const f64x8& x) {
  return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]));
}

// `left` completions from i on belong to it, of `room` that may be read.
ADJUDGE_INLINE Members load_members(const GroupRule& rule, const GroupArrays& arrays, int64_t i, int64_t left,
                                    int64_t room) {
  const f32x8 reward = load(arrays.rewards + i, room, 0.0f);
  i32x8 scored = reward == reward;
  if (left < 8) scored &= first_lanes(left).value;
  if (arrays.scored != nullptr) scored &= nonzero_bytes(arrays.scored + i, left).value;
  Members members;
  members.mask = __builtin_convertvector(scored, i64x8);
  members.bits = bits_of(Mask{scored});
  f64x8 value = __builtin_convertvector(reward, f64x8) * rule.weight;
  if (rule.bounds_first) value = bounded(value, rule.low, rule.high);
  members.value = only(members.mask, value);
  return members;
}

ADJUDGE_INLINE bool differ(const f64x8& distance) {
  const i64x8 away = distance != f64x8{};
  return bits_of(Mask{__builtin_convertvector(away, i32x8)}) != 0;
}

// Distances are from the first scored value, so that the mean of equal numbers is exactly that number.
struct Distances {
  int64_t count = 0;
  double first = 0;
  f64x8 sum = {};
  bool constant = true;

  inline __attribute__((always_inline)) void add(const Members& members) {
    if (members.bits == 0) return;
    if (count == 0) first = members.value[__builtin_ctz(members.bits)];
    const f64x8 distance = only(members.mask, members.value - first);
    count += __builtin_popcount(members.bits);
    sum += distance;
    if (constant) constant = !differ(distance);
  }
  inline __attribute__((always_inline)) double mean() const {
    return count > 0 && !constant ? first + total(sum) / static_cast<double>(count) : first;
  }
};

ADJUDGE_INLINE f64x8 squares_of(const Members& members, double mean) {
  const f64x8 distance = only(members.mask, members.value - mean);
  return distance * distance;
}

RewardSums sum(const GroupRule& rule, const GroupArrays& arrays, int64_t begin, int64_t end) {
  const GroupRule r = rule;
  const GroupArrays a = arrays;
  Distances distances;
  i64x8 infinite = {};
  for (int64_t i = begin; i < end; i += 8) {
    const Members members = load_members(r, a, i, end - i, end - i);
    // Infinity less itself is no number.
    infinite |= (members.value - members.value) != f64x8{};
    distances.add(members);
  }
  const double mean = distances.mean();
  f64x8 squares = {};
  for (int64_t i = begin; i < end && !distances.constant; i += 8) {
    squares += squares_of(load_members(r, a, i, end - i, end - i), mean);
  }
  return {distances.count, mean, total(squares),
          bits_of(Mask{__builtin_convertvector(infinite, i32x8)}) != 0};
}

struct Line {
  double centre;
  double factor;
  bool compared;
};

ADJUDGE_INLINE Line line_of(const GroupRule& rule, const Distances& group, double squares) {
  const auto count = static_cast<double>(group.count);
  const bool alone = group.count == 1 && rule.alone;
  Line line{rule.batch_centre, rule.batch_factor, !(alone && rule.alone_zero)};
  if (rule.centre == GroupCentre::group) {
    line.centre = alone ? 0 : group.mean();
    if (rule.leave_one_out && group.count > 1) line.factor *= count / (count - 1);
  }
  if (rule.group_scale) {
    const double divisor = count - (rule.bessel ? 1.0 : 0.0);
    const double deviation = alone ? 1.0 : divisor > 0 ? __builtin_sqrt(squares / divisor) : 0.0;
    line.factor /= deviation + rule.epsilon;
  }
  return line;
}

// Lanes beyond the group are written as well where `room` lets them: the next group writes them anew.
ADJUDGE_INLINE void write_members(const GroupRule& rule, const GroupArrays& arrays, const Members& members,
                                  const Line& line, int64_t i, int64_t left, int64_t room, bool stream) {
  f64x8 centre = f64x8{} + line.centre;
  if (rule.centre == GroupCentre::given) {
    centre = __builtin_convertvector(load(arrays.baselines + i, room, 0.0f), f64x8);
  }
  f64x8 value = (members.value - centre) * line.factor;
  if (rule.bounds_last) value = bounded(value, rule.low, rule.high);
  value = only(line.compared ? members.mask : i64x8{}, value);
  const f32x8 rounded = __builtin_convertvector(value, f32x8);
  if (stream && left >= 8)
    stream_lanes(arrays.advantages + i, Lanes(rounded));
  else
    store(arrays.advantages + i, room, rounded);
}

GroupCounts write(const GroupRule& rule, const GroupArrays& arrays, int64_t begin, int64_t end, bool stream) {
  const GroupRule r = rule;
  const GroupArrays a = arrays;
  const int64_t last = a.offsets[end];
  GroupCounts counts = {};
  for (int64_t g = begin; g < end; ++g) {
    const int64_t from = a.offsets[g], to = a.offsets[g + 1];
    Distances group;
    f64x8 squares = {};
    Members members = {};
    for (int64_t i = from; i < to; i += 8) {
      members = load_members(r, a, i, to - i, last - i);
      group.add(members);
    }
    if (r.group_scale && !group.constant) {
      const double mean = group.mean();
      if (to - from <= 8) squares = squares_of(members, mean);
      for (int64_t i = from; to - from > 8 && i < to; i += 8) {
        squares += squares_of(load_members(r, a, i, to - i, last - i), mean);
      }
    }
    counts.scored += group.count > 0;
    counts.dead += group.count > 0 && group.constant;
    counts.alone += group.count == 1;
    const Line line = line_of(r, group, total(squares));
    if (to - from <= 8) {
      if (to > from) write_members(r, a, members, line, from, to - from, last - from, stream);
      continue;
    }
    for (int64_t i = from; i < to; i += 8) {
      write_members(r, a, load_members(r, a, i, to - i, last - i), line, i, to - i, last - i, stream);
    }
  }
  return counts;
}

constexpr GroupAdvantageKernels group_advantages_table = {sum, write};

}  // namespace
}  // namespace adjudge
