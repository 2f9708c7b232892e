// Groups of which each is summed in the lanes of one f64 register, as many together as an f32 register has
// lanes: then means and deviations are worked out for all of them at once, and advantages in f32. What a
// group gets does not depend on the groups beside it.
#pragma once
#include "native/cpu/group_advantages_kernels.h"
#include "native/cpu/group_advantages_vectors.h"

namespace adjudge {
namespace {

// Members of the largest group that is taken this way.
constexpr int64_t block_members = 64;
// Groups that are summed before any is written, so that the divisions of some overlap the sums of others.
constexpr int64_t batch_groups = 4 * single_lanes;
// A batch has no more completions, to stay in the first cache.
constexpr int64_t batch_completions = 2048;

// Groups of equal size one after another. `fixed`: that size, where the compiler shall know it.
template <int64_t fixed>
struct EqualRows {
  int64_t each;  // a multiple of double_lanes

  inline __attribute__((always_inline)) int64_t longest() const { return fixed != 0 ? fixed : each; }
  inline __attribute__((always_inline)) int64_t start(int64_t row) const { return row * longest(); }
  inline __attribute__((always_inline)) Doubles distances(int64_t, int64_t, const Doubles& x,
                                                          double first) const {
    return x - first;
  }
};

// Groups of any size. `fixed`: to what length rows are read, where the compiler shall know it.
template <int64_t fixed>
struct RaggedRows {
  int64_t most;
  const int32_t* starts;
  const int32_t* sizes;  // 0: a row that counts for nothing

  inline __attribute__((always_inline)) int64_t longest() const { return fixed != 0 ? fixed : most; }
  inline __attribute__((always_inline)) int64_t start(int64_t row) const { return starts[row]; }
  inline __attribute__((always_inline)) Doubles distances(int64_t row, int64_t from, const Doubles& x,
                                                          double first) const {
    return own_distances(x, first, static_cast<int32_t>(from), sizes[row]);
  }
};

// Of the distances of the groups of a batch from their first members.
struct Moments {
  alignas(64) double first[batch_groups];
  alignas(64) double sum[batch_groups];
  alignas(64) double squares[batch_groups];
};

// Of as many groups as a register has lanes. Every row is read to the length of the longest.
template <typename Rows>
ADJUDGE_INLINE void add_moments(const Rows& rows, const float* rewards, int64_t row, Moments& moments) {
  Doubles sums[double_lanes], squares[double_lanes];
#pragma GCC unroll 8
  for (int64_t lane = 0; lane < double_lanes; ++lane) {
    const float* members = rewards + rows.start(row + lane);
    const Doubles head = widened(loaded<HalfSingles>(members));
    const double first = head[0];
    moments.first[row + lane] = first;
    Doubles sum = rows.distances(row + lane, 0, head, first), square = sum * sum;
    for (int64_t from = double_lanes; from < rows.longest(); from += double_lanes) {
      const Doubles distance =
          rows.distances(row + lane, from, widened(loaded<HalfSingles>(members + from)), first);
      sum += distance;
      square = fused(distance, distance, square);
    }
    sums[lane] = sum;
    squares[lane] = square;
  }
  put(moments.sum + row, sums_of(sums));
  put(moments.squares + row, sums_of(squares));
}

#if defined(__AVX512F__)
// The same of rows of eight, which are turned over first: fewer shuffles than a tree for each sum. Members
// are added in the order of that tree, so that the bits are the same.
ADJUDGE_INLINE void add_moments(const EqualRows<8>&, const float* rewards, int64_t row, Moments& moments) {
  HalfSingles members[8];
  load_eight_rows(rewards + row * 8, members);
  const Doubles first = widened(members[0]);
  Doubles x[8], square[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    x[i] = widened(members[i]) - first;
    square[i] = x[i] * x[i];
  }
  const auto sum_of_eight = [](const Doubles(&of)[8]) {
    return ((of[0] + of[1]) + (of[4] + of[5])) + ((of[2] + of[3]) + (of[6] + of[7]));
  };
  put(moments.first + row, first);
  put(moments.sum + row, sum_of_eight(x));
  put(moments.squares + row, sum_of_eight(square));
}
#endif

// As what the lines are made of.
struct BlockMoments {
  Doubles first[2];
  Doubles sum[2];
  Doubles squares[2];

  inline __attribute__((always_inline)) BlockMoments(const Moments& moments, int64_t row) {
    for (int64_t half = 0; half < 2; ++half, row += double_lanes) {
      first[half] = loaded<Doubles>(moments.first + row);
      sum[half] = loaded<Doubles>(moments.sum + row);
      squares[half] = loaded<Doubles>(moments.squares + row);
    }
  }
};

// How many members the groups of a block have, one a lane, and what follows from it.
struct BlockCounts {
  Doubles count[2];
  Doubles inverse[2];
  Singles inverse_divisor;  // of the squares
  Singles factor;

  BlockCounts() = default;
  inline __attribute__((always_inline))
  BlockCounts(const GroupRule& rule, const Doubles& low, const Doubles& high)
      : count{low, high} {
    const double bessel = rule.bessel ? 1.0 : 0.0;
    inverse[0] = 1.0 / low;
    inverse[1] = 1.0 / high;
    inverse_divisor = 1.0f / narrowed(low - bessel, high - bessel);
    factor = Singles{} + static_cast<float>(rule.batch_factor);
    if (rule.leave_one_out) factor *= narrowed(low, high) / narrowed(low - 1.0, high - 1.0);
  }
};

// An advantage is ((reward - centre) - rest) x factor: centre and rest together hold the mean in more digits
// than f32 has.
struct BlockLines {
  alignas(64) float centre[batch_groups];
  alignas(64) float rest[batch_groups];
  alignas(64) float factor[batch_groups];
};

// Groups of a block, one bit each.
struct BlockBits {
  uint32_t constant;  // all members alike
  uint32_t left;      // no number among them, or too large or too small for f32: left to one_group
};

// Sums of squares that f32 holds with room to spare.
constexpr float least_squares = 1e-24f;
constexpr float most_squares = 1e30f;
// Below it f32 does not divide by the epsilon alone.
constexpr double least_epsilon = 1e-12;

ADJUDGE_INLINE BlockBits write_lines(const GroupRule& rule, const BlockMoments& moments,
                                     const BlockCounts& counts, BlockLines& lines, int64_t row) {
  const Doubles shift[2] = {moments.sum[0] * counts.inverse[0], moments.sum[1] * counts.inverse[1]};
  BlockBits bits = {};
  const uint32_t unusual =
      lanes_outside(narrowed(moments.squares[0], moments.squares[1]), least_squares, most_squares);
  if (unusual != 0) {
    bits.constant = bits_of(moments.squares[0] == 0.0) | bits_of(moments.squares[1] == 0.0) << double_lanes;
    bits.left = rule.group_scale && rule.epsilon < least_epsilon ? unusual : unusual & ~bits.constant;
  }
  Singles factor = counts.factor;
  if (rule.group_scale) {
    const Singles squares = narrowed(moments.squares[0] - moments.sum[0] * shift[0],
                                     moments.squares[1] - moments.sum[1] * shift[1]);
    const Singles positive = squares > 0.0f ? squares : Singles{};
    factor /= root(positive * counts.inverse_divisor) + static_cast<float>(rule.epsilon);
  }
  put(lines.factor + row, factor);
  if (rule.centre == GroupCentre::group) {
    const Doubles mean[2] = {moments.first[0] + shift[0], moments.first[1] + shift[1]};
    const Singles centre = narrowed(mean[0], mean[1]);
    put(lines.centre + row, centre);
    put(lines.rest + row,
        narrowed(mean[0] - widened(half_of<0>(centre)), mean[1] - widened(half_of<1>(centre))));
  } else {
    const auto centre = static_cast<float>(rule.batch_centre);
    put(lines.centre + row, Singles{} + centre);
    put(lines.rest + row, Singles{} + static_cast<float>(rule.batch_centre - static_cast<double>(centre)));
  }
  return bits;
}

// Sums over the groups of many blocks, lane by lane, about one centre.
struct BlockSums {
  double centre = 0;
  int64_t count = 0;
  Doubles sum = {};
  Doubles squares = {};
  double more_sum = 0;  // of groups that no block took
  double more_squares = 0;
  bool infinite = false;

  inline __attribute__((always_inline)) void add(const BlockMoments& moments, const BlockCounts& counts,
                                                 uint32_t left) {
    for (int half = 0; half < 2; ++half) {
      const Doubles distance = moments.first[half] - centre;
      Doubles more = fused(counts.count[half], distance, moments.sum[half]);
      Doubles more_of_squares = fused(distance, more + moments.sum[half], moments.squares[half]);
      if (__builtin_expect(left != 0, 0)) {
        for (int64_t i = 0; i < double_lanes; ++i) {
          if ((left >> (half * double_lanes + i) & 1) != 0) more[i] = more_of_squares[i] = 0;
        }
      }
      sum += more;
      squares += more_of_squares;
    }
  }

  void add(const RewardSums& group) {
    const double distance = group.mean - centre, members = static_cast<double>(group.count);
    count += group.count;
    infinite = infinite || group.infinite;
    if (group.count == 0) return;
    more_sum += members * distance;
    more_squares += group.squares + members * distance * distance;
  }

  RewardSums total() const {
    if (count == 0) return {};
    double sums = more_sum, all_squares = more_squares;
    for (int64_t i = 0; i < double_lanes; ++i) {
      sums += sum[i];
      all_squares += squares[i];
    }
    const double shift = sums / static_cast<double>(count);
    const double about_mean = all_squares - sums * shift;
    return {count, centre + shift, about_mean > 0 ? about_mean : 0, infinite};
  }
};

// Every row is written to the length of the longest: what lies beyond its end is written anew by the next
// one.
template <typename Vector, bool stream, bool given, typename Rows>
ADJUDGE_INLINE void write_rows(const GroupRule& rule, const Rows& rows, int64_t count,
                               const BlockLines& lines, const float* rewards, const float* baselines,
                               float* to) {
  constexpr int64_t lanes = sizeof(Vector) / sizeof(float);
  const bool bounds = rule.bounds_last;
  const Vector low = Vector{} + static_cast<float>(rule.low), high = Vector{} + static_cast<float>(rule.high);
#pragma GCC unroll 4
  for (int64_t row = 0; row < count; ++row) {
    const int64_t start = rows.start(row);
    const float centre = lines.centre[row], rest = lines.rest[row], factor = lines.factor[row];
    for (int64_t from = 0; from < rows.longest(); from += lanes) {
      Vector value = loaded<Vector>(rewards + start + from);
      if constexpr (given)
        value = (value - loaded<Vector>(baselines + start + from)) * factor;
      else
        value = ((value - centre) - rest) * factor;
      if (bounds) {
        value = value < low ? low : value;
        value = value > high ? high : value;
      }
      if constexpr (stream)
        stream_vector(to + start + from, value);
      else
        put(to + start + from, value);
    }
  }
}

}  // namespace
}  // namespace adjudge
