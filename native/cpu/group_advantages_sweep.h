// The bodies of the group advantages' table, included once per instruction set. Groups of up to 64 scored
// members go by blocks; what does not fit there goes group by group.
#pragma once
#include "native/cpu/group_advantages_one.h"
#include "native/cpu/group_advantages_output.h"

namespace adjudge {
namespace {

class Sweep {
 public:
  Sweep(const GroupRule& rule, const GroupArrays& arrays, int64_t begin, int64_t end, bool stream)
      : rule_(rule),
        arrays_(arrays),
        end_(end),
        stream_(stream),
        blocks_(rule.weight == 1 && !rule.bounds_first && rule.batch_factor < 1e12 && rule.epsilon >= 0),
        output_(arrays.advantages, arrays.offsets[begin], stream) {
    for (int64_t i = arrays.offsets[begin]; i < arrays.offsets[end]; ++i) {
      if (!is_scored(arrays, i)) continue;
      sums_.centre = load_members(rule, arrays, i, 1).value[0];
      break;
    }
  }

  GroupPart run(int64_t group) {
    while (group < end_) {
      if (!blocks_ || size(group) > block_members) {
        one_group(group, arrays_.advantages + arrays_.offsets[group]);
        output_.skip(size(group));
        ++group;
        continue;
      }
      const int64_t equal = equal_groups(group);
      group += equal > 0 ? equal_batch(group, equal) : ragged_batch(group);
    }
    return {sums_.total(), counts_};
  }

 private:
  int64_t size(int64_t group) const { return arrays_.offsets[group + 1] - arrays_.offsets[group]; }

  // Groups of eight that are taken together, where that needs no room.
  static constexpr int64_t eights_groups = single_lanes == 16 ? 1024 : batch_groups;

  // How many groups from this one on are of one size that can be written in place; whole blocks of them.
  int64_t equal_groups(int64_t group) const {
    const auto each = static_cast<int32_t>(size(group));
    constexpr int32_t lanes = row_lanes;
    if (each < lanes || each % lanes != 0) return 0;
    if (stream_ &&
        reinterpret_cast<uintptr_t>(arrays_.advantages + arrays_.offsets[group]) % (lanes * 4) != 0) {
      return 0;
    }
    int64_t most = batch_completions / each;
    most = (most < batch_groups ? most : batch_groups) / single_lanes * single_lanes;
    if (each == 8 && arrays_.scored == nullptr && in_registers(group)) most = eights_groups;
    if (most > end_ - group) most = (end_ - group) / single_lanes * single_lanes;
    const int32_t* offsets = arrays_.offsets + group;
    Integers expected = lane_index * each + offsets[0];
    int64_t count = 0;
    for (; count < most; count += single_lanes) {
      const Integers different = loaded<Integers>(offsets + count) ^ expected;
      expected += each * static_cast<int32_t>(single_lanes);
      if (zero_lanes(different) != every_lane) break;
    }
    if (count > 0 && offsets[count] - offsets[0] != static_cast<int32_t>(count) * each) count -= single_lanes;
    return all_marked(offsets[0], offsets[count]) ? count : 0;
  }

  // Groups of eight from this one on need no room between their sums and their advantages.
  bool in_registers(int64_t group) const {
    const auto place = reinterpret_cast<uintptr_t>(arrays_.advantages + arrays_.offsets[group]);
    return single_lanes == 16 && rule_.centre != GroupCentre::given && !rule_.bounds_last &&
           (!stream_ || place % 64 == 0);
  }

  bool all_marked(int64_t begin, int64_t end) const {
    if (arrays_.scored == nullptr) return true;
    uint8_t all = 1;
    for (int64_t i = begin; i < end; ++i) all &= arrays_.scored[i] != 0;
    return all != 0;
  }

  int64_t equal_batch(int64_t group, int64_t count) {
    const int64_t each = size(group);
    if (each != equal_size_) {
      equal_size_ = each;
      const Doubles members = Doubles{} + static_cast<double>(each);
      equal_counts_ = BlockCounts(rule_, members, members);
    }
    const int64_t begin = arrays_.offsets[group];
    const float* baselines = arrays_.baselines != nullptr ? arrays_.baselines + begin : nullptr;
    float* to = arrays_.advantages + begin;
#if defined(__AVX512F__)
    if (each == 8 && in_registers(group)) {
      if (stream_)
        write_eights<true>(group, count);
      else
        write_eights<false>(group, count);
      output_.skip(each * count);
      return count;
    }
#endif
    const auto run = [&](const auto& rows) {
      if (stream_)
        write_batch<Row, true>(rows, group, count, arrays_.rewards + begin, baselines, to);
      else
        write_batch<Row, false>(rows, group, count, arrays_.rewards + begin, baselines, to);
    };
    if (each == 8)
      run(EqualRows<8>{each});
    else
      run(EqualRows<0>{each});
    output_.skip(each * count);
    return count;
  }

  // The groups of a ragged batch.
  struct Ragged {
    int64_t count = 0;
    int32_t longest = 0;
    alignas(64) int32_t starts[batch_groups];
    alignas(64) int32_t sizes[batch_groups];
  };

  // Whole blocks, where no group is large and all members are marked.
  void take_blocks(const int32_t* offsets, int64_t most, Ragged& ragged) const {
    int64_t count = most / single_lanes * single_lanes;
    while (count > 0 && offsets[count] - offsets[0] > batch_completions) count -= single_lanes;
    if (count == 0 || !all_marked(offsets[0], offsets[count])) return;
    Integers longest = {};
    for (int64_t row = 0; row < count; row += single_lanes) {
      const Integers begin = loaded<Integers>(offsets + row),
                     size = loaded<Integers>(offsets + row + 1) - begin;
      longest = size > longest ? size : longest;
      put(ragged.starts + row, begin - offsets[0]);
      put(ragged.sizes + row, size > 1 ? size : Integers{});
    }
    for (int64_t i = 0; i < single_lanes; ++i)
      ragged.longest = longest[i] > ragged.longest ? longest[i] : ragged.longest;
    if (ragged.longest <= block_members) ragged.count = count;
  }

  void take_groups(const int32_t* offsets, int64_t most, Ragged& ragged) const {
    int64_t count = 0;
    ragged.longest = 0;
    for (; count < most; ++count) {
      const int32_t each = offsets[count + 1] - offsets[count];
      if (each > block_members || offsets[count + 1] - offsets[0] > batch_completions) break;
      ragged.starts[count] = offsets[count] - offsets[0];
      ragged.sizes[count] = each > 1 && all_marked(offsets[count], offsets[count + 1]) ? each : 0;
      ragged.longest = each > ragged.longest ? each : ragged.longest;
    }
    for (int64_t row = count; row % single_lanes != 0; ++row) ragged.starts[row] = ragged.sizes[row] = 0;
    ragged.count = count;
  }

  int64_t ragged_batch(int64_t group) {
    const int32_t* offsets = arrays_.offsets + group;
    const int64_t begin = offsets[0];
    const int64_t most = end_ - group < batch_groups ? end_ - group : batch_groups;
    Ragged ragged;
    take_blocks(offsets, most, ragged);
    if (ragged.count == 0) take_groups(offsets, most, ragged);
    const int64_t count = ragged.count, completions = offsets[count] - begin;
    const float* rewards = arrays_.rewards + begin;
    const float* baselines = arrays_.baselines != nullptr ? arrays_.baselines + begin : nullptr;
    // Near the end of the arrays rows are read from where there is something behind them.
    constexpr int64_t more = block_members + single_lanes;
    float padded[2][batch_completions + more];
    if (begin + completions + more > arrays_.completions) {
      rewards = with_more(rewards, completions, padded[0]);
      if (baselines != nullptr) baselines = with_more(baselines, completions, padded[1]);
    }
    const auto run = [&]<typename Vector>(const auto& rows, const Vector&) {
      write_batch<Vector, false>(rows, group, count, rewards, baselines, output_.place());
    };
    const int32_t *starts = ragged.starts, *sizes = ragged.sizes;
    if (ragged.longest <= 8)
      run(RaggedRows<8>{8, starts, sizes}, Row{});
    else if (ragged.longest <= 16)
      run(RaggedRows<16>{16, starts, sizes}, Singles{});
    else if (ragged.longest <= 24)
      run(RaggedRows<24>{24, starts, sizes}, Singles{});
    else
      run(RaggedRows<0>{ragged.longest, starts, sizes}, Singles{});
    output_.advance(completions);
    return count;
  }

  static const float* with_more(const float* from, int64_t completions, float* to) {
    std::memcpy(to, from, static_cast<size_t>(completions) * sizeof(float));
    std::memset(to + completions, 0, (block_members + single_lanes) * sizeof(float));
    return to;
  }

  template <int64_t fixed>
  const BlockCounts& counts_of(const RaggedRows<fixed>& rows, int64_t row, BlockCounts& counts) {
    const auto members = [&](int64_t from) {
      const HalfIntegers sizes = loaded<HalfIntegers>(rows.sizes + from);
      return widened(sizes > 1 ? sizes : HalfIntegers{} + 2);
    };
    return counts = BlockCounts(rule_, members(row), members(row + double_lanes));
  }

  template <int64_t fixed>
  const BlockCounts& counts_of(const EqualRows<fixed>&, int64_t, BlockCounts&) {
    return equal_counts_;
  }

  template <int64_t fixed>
  static uint32_t unusual_rows(const EqualRows<fixed>&, int64_t) {
    return 0;
  }

  template <int64_t fixed>
  static uint32_t unusual_rows(const RaggedRows<fixed>& rows, int64_t row) {
    return zero_lanes(loaded<Integers>(rows.sizes + row));
  }

  // What becomes of the groups of a block, all but `unusual` ones; those that are left to one_group.
  inline __attribute__((always_inline)) uint32_t account(const BlockMoments& moments,
                                                         const BlockCounts& counts, uint32_t unusual,
                                                         BlockLine& line) {
    Doubles squares[2];
    squares_about_mean(moments, counts, squares);
    const BlockBits bits = line_of(rule_, moments, counts, squares, line);
    const uint32_t left = bits.left | unusual;
    sums_.add(moments, counts, squares, left);
    counts_.scored += single_lanes;
    if ((bits.constant | left) != 0) {
      counts_.dead += __builtin_popcount(bits.constant & ~left);
      counts_.scored -= __builtin_popcount(left);
    }
    return left;
  }

#if defined(__AVX512F__)
  // Blocks of groups of eight from `group` on. A block is written after the next one's sums, which need not
  // wait for its division and root.
  template <bool stream>
  void write_eights(int64_t group, int64_t count) {
    const int64_t begin = arrays_.offsets[group];
    const float* rewards = arrays_.rewards + begin;
    float* to = arrays_.advantages + begin;
    BlockLine line = {};
    uint32_t left = 0;
    const auto write_block = [&](int64_t row) {
      write_eight_rows<stream>(rewards + row * 8, line, to + row * 8);
      for (; left != 0; left &= left - 1) {
        const int64_t one = row + __builtin_ctz(left);
        sums_.count -= 8;
        one_group(group + one, to + one * 8);
      }
    };
    for (int64_t row = 0; row < count; row += single_lanes) {
      BlockMoments moments;
      for (int half = 0; half < 2; ++half) {
        moments.origin[half] = Doubles{};
        sum_eight_rows(rewards + (row + half * double_lanes) * 8, moments.sum[half], moments.squares[half]);
      }
      BlockLine next;
      const uint32_t next_left = account(moments, equal_counts_, 0, next);
      if (row != 0) write_block(row - single_lanes);
      line = next;
      left = next_left;
    }
    write_block(count - single_lanes);
    sums_.count += count * 8;
  }
#endif

  // Row r is group `group` + r, and goes to `to` + its start.
  template <typename Vector, bool stream, typename Rows>
  void write_batch(const Rows& rows, int64_t group, int64_t count, const float* rewards,
                   const float* baselines, float* to) {
    Moments sums;
    BlockLines lines;
    uint32_t left[batch_groups / single_lanes];
    const int64_t padded = (count + single_lanes - 1) / single_lanes * single_lanes;
    for (int64_t row = 0; row < padded; row += double_lanes) add_moments(rows, rewards, row, sums);
    for (int64_t row = 0; row < padded; row += single_lanes) {
      BlockCounts own;
      const BlockCounts& counts = counts_of(rows, row, own);
      const BlockMoments moments(sums, row);
      BlockLine line;
      left[row / single_lanes] = account(moments, counts, unusual_rows(rows, row), line);
      put(lines.centre + row, line.centre);
      put(lines.factor + row, line.factor);
      put(lines.offset + row, line.offset);
    }
    if (rule_.centre == GroupCentre::given)
      write_rows<Vector, stream, true>(rule_, rows, count, lines, rewards, baselines, to);
    else
      write_rows<Vector, stream, false>(rule_, rows, count, lines, rewards, baselines, to);
    const int32_t* offsets = arrays_.offsets + group;
    sums_.count += offsets[count] - offsets[0];
    for (int64_t row = 0; row < count; row += single_lanes) {
      for (uint32_t rest = left[row / single_lanes]; rest != 0; rest &= rest - 1) {
        const int64_t one = row + __builtin_ctz(rest);
        if (one >= count) break;
        sums_.count -= offsets[one + 1] - offsets[one];
        one_group(group + one, to + rows.start(one));
      }
    }
  }

  __attribute__((noinline)) void one_group(int64_t group, float* to) {
    const int64_t begin = arrays_.offsets[group], end = arrays_.offsets[group + 1];
    const RewardSums sums = sum(rule_, arrays_, begin, end);
    write_members(rule_, arrays_, line_of(rule_, sums), begin, end, to);
    sums_.add(sums);
    counts_.scored += sums.count > 0;
    counts_.dead += sums.count > 0 && sums.squares == 0;
    counts_.alone += sums.count == 1;
  }

  const GroupRule rule_;
  const GroupArrays arrays_;
  int64_t end_;
  bool stream_;
  bool blocks_;
  int64_t equal_size_ = 0;
  BlockCounts equal_counts_;
  BlockSums sums_;
  GroupCounts counts_ = {};
  LineOutput output_;
};

GroupPart write(const GroupRule& rule, const GroupArrays& arrays, int64_t begin, int64_t end, bool stream) {
  return Sweep(rule, arrays, begin, end, stream).run(begin);
}

constexpr GroupAdvantageKernels group_advantages_table = {sum, write};

}  // namespace
}  // namespace adjudge
