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

// What the members of a group are taken from before they are summed: its first member, so that their squares
// keep the digits of the spread. In groups of eight that is not needed where there is a fused multiply and
// add, so they are summed as they are. Members within two powers of two are multiples of one 2^k below
// 2^(k+25), so that their sum (28 bits) and the sum of their squares (53) are exact in f64, and
// squares - sum x sum / 8 is rounded once; of members further apart it is at least 1/64 of the squares.
ADJUDGE_INLINE double origin_of(double first, int64_t size) {
#if defined(__AVX512F__)
  return size == 8 ? 0.0 : first;
#else
  (void)size;
  return first;
#endif
}

// Groups of equal size one after another. `fixed`: that size, where the compiler shall know it.
template <int64_t fixed>
struct EqualRows {
  int64_t each;  // a multiple of double_lanes

  inline __attribute__((always_inline)) int64_t longest() const { return fixed != 0 ? fixed : each; }
  inline __attribute__((always_inline)) int64_t start(int64_t row) const { return row * longest(); }
  inline __attribute__((always_inline)) int64_t size(int64_t) const { return longest(); }
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
  inline __attribute__((always_inline)) int64_t size(int64_t row) const { return sizes[row]; }
  inline __attribute__((always_inline)) Doubles distances(int64_t row, int64_t from, const Doubles& x,
                                                          double first) const {
    return own_distances(x, first, static_cast<int32_t>(from), sizes[row]);
  }
};

// Of the distances of the groups' members from the groups' origins.
struct Moments {
  alignas(64) double origin[batch_groups];
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
    const double origin = origin_of(head[0], rows.size(row + lane));
    moments.origin[row + lane] = origin;
    Doubles sum = rows.distances(row + lane, 0, head, origin), square = sum * sum;
    for (int64_t from = double_lanes; from < rows.longest(); from += double_lanes) {
      const Doubles distance =
          rows.distances(row + lane, from, widened(loaded<HalfSingles>(members + from)), origin);
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
// are added in the order of that tree, so that the bits are the same; their squares are exact.
ADJUDGE_INLINE void sum_eight_rows(const float* rewards, Doubles& sum, Doubles& squares) {
  HalfSingles members[8];
  load_eight_rows(rewards, members);
  Doubles x[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) x[i] = widened(members[i]);
  const auto squares_of = [](const Doubles& a, const Doubles& b) { return fused(b, b, a * a); };
  sum = ((x[0] + x[1]) + (x[4] + x[5])) + ((x[2] + x[3]) + (x[6] + x[7]));
  squares =
      (squares_of(x[0], x[1]) + squares_of(x[4], x[5])) + (squares_of(x[2], x[3]) + squares_of(x[6], x[7]));
}

ADJUDGE_INLINE void add_moments(const EqualRows<8>&, const float* rewards, int64_t row, Moments& moments) {
  Doubles sum, squares;
  sum_eight_rows(rewards + row * 8, sum, squares);
  put(moments.origin + row, Doubles{});
  put(moments.sum + row, sum);
  put(moments.squares + row, squares);
}
#endif

// As what the lines are made of.
struct BlockMoments {
  Doubles origin[2];
  Doubles sum[2];
  Doubles squares[2];

  BlockMoments() = default;
  inline __attribute__((always_inline)) BlockMoments(const Moments& moments, int64_t row) {
    for (int64_t half = 0; half < 2; ++half, row += double_lanes) {
      origin[half] = loaded<Doubles>(moments.origin + row);
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

// An advantage is (reward - centre) x factor + offset: the centre is the mean in f32, the offset what it
// lacks, times the factor.
struct BlockLine {
  Singles centre;
  Singles factor;
  Singles offset;
};

struct BlockLines {
  alignas(64) float centre[batch_groups];
  alignas(64) float factor[batch_groups];
  alignas(64) float offset[batch_groups];
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

ADJUDGE_INLINE BlockBits line_of(const GroupRule& rule, const BlockMoments& moments,
                                 const BlockCounts& counts, const Doubles (&squares)[2], BlockLine& line) {
  const Singles single_squares = narrowed(squares[0], squares[1]);
  BlockBits bits = {};
  const uint32_t unusual = lanes_outside(single_squares, least_squares, most_squares);
  if (unusual != 0) {
    bits.constant = bits_of(squares[0] == 0.0) | bits_of(squares[1] == 0.0) << double_lanes;
    bits.left = rule.group_scale && rule.epsilon < least_epsilon ? unusual : unusual & ~bits.constant;
  }
  line.factor = counts.factor;
  if (rule.group_scale)
    line.factor /= root(single_squares * counts.inverse_divisor) + static_cast<float>(rule.epsilon);
  Doubles mean[2];
  for (int half = 0; half < 2; ++half) {
    mean[half] = rule.centre == GroupCentre::group
                     ? moments.origin[half] + moments.sum[half] * counts.inverse[half]
                     : Doubles{} + rule.batch_centre;
  }
  line.centre = narrowed(mean[0], mean[1]);
  line.offset =
      narrowed(widened(half_of<0>(line.centre)) - mean[0], widened(half_of<1>(line.centre)) - mean[1]) *
      line.factor;
  return bits;
}

// Of the distances of each group from its mean.
ADJUDGE_INLINE void squares_about_mean(const BlockMoments& moments, const BlockCounts& counts,
                                       Doubles (&squares)[2]) {
  for (int half = 0; half < 2; ++half) {
    const Doubles about =
        fused(-moments.sum[half], moments.sum[half] * counts.inverse[half], moments.squares[half]);
    // What is no number stays.
    squares[half] = about < 0.0 ? Doubles{} : about;
  }
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
                                                 const Doubles (&about_mean)[2], uint32_t left) {
    for (int half = 0; half < 2; ++half) {
      Doubles more = fused(counts.count[half], moments.origin[half] - centre, moments.sum[half]);
      Doubles more_of_squares = fused(more * counts.inverse[half], more, about_mean[half]);
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
    const Vector centre = Vector{} + lines.centre[row], factor = Vector{} + lines.factor[row],
                 offset = Vector{} + lines.offset[row];
    for (int64_t from = 0; from < rows.longest(); from += lanes) {
      Vector value = loaded<Vector>(rewards + start + from);
      if constexpr (given)
        value = (value - loaded<Vector>(baselines + start + from)) * factor;
      else
        value = fused(value - centre, factor, offset);
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

#if defined(__AVX512F__)
// The rows of eight of one block, two a register.
template <bool stream>
ADJUDGE_INLINE void write_eight_rows(const float* rewards, const BlockLine& line, float* to) {
  const __m512i pair = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
#pragma GCC unroll 8
  for (int row = 0; row < single_lanes; row += 2) {
    const __m512i lanes = _mm512_add_epi32(pair, _mm512_set1_epi32(row));
    const auto spread = [&](const Singles& x) { return (Singles)_mm512_permutexvar_ps(lanes, (__m512)x); };
    const Singles value = fused(loaded<Singles>(rewards + row * 8) - spread(line.centre), spread(line.factor),
                                spread(line.offset));
    if constexpr (stream)
      stream_vector(to + row * 8, value);
    else
      put(to + row * 8, value);
  }
}
#endif

}  // namespace
}  // namespace adjudge
