// The table of vector operations behind cpu/group_advantages.h.
#pragma once
#include <cstdint>

namespace adjudge {

enum class GroupCentre { zero, group, batch, given };

// An advantage is (reward - centre) x factor, within bounds where they come last.
struct GroupRule {
  double weight;
  bool bounds_first;  // of the reward
  bool bounds_last;   // of the advantage
  double low;
  double high;
  GroupCentre centre;
  bool leave_one_out;  // times n / (n - 1): the others' mean instead of the group's
  bool group_scale;    // divided by the group's deviation + epsilon
  double batch_centre;
  double batch_factor;
  double epsilon;
  bool bessel;
  bool alone;       // one scored member has nothing to be compared with
  bool alone_zero;  // its advantage is 0, else its reward
};

struct GroupArrays {
  const float* rewards;  // NaN: unscored
  const std::uint8_t* scored;
  const float* baselines;
  const std::int32_t* offsets;
  float* advantages;
  std::int64_t completions;
};

// Of scored completions.
struct RewardSums {
  std::int64_t count;
  double mean;
  double squares;  // of the distances from the mean
  bool infinite;
};

struct GroupCounts {
  std::int64_t scored;  // groups with a scored member
  std::int64_t dead;    // without spread among them
  std::int64_t alone;   // with one only
};

struct GroupPart {
  RewardSums sums;
  GroupCounts counts;
};

struct GroupAdvantageKernels {
  // Of the completions [begin, end).
  RewardSums (*sum)(const GroupRule& rule, const GroupArrays& arrays, std::int64_t begin, std::int64_t end);
  // Groups [begin, end); stream: past the caches.
  GroupPart (*write)(const GroupRule& rule, const GroupArrays& arrays, std::int64_t begin, std::int64_t end,
                     bool stream);
};

extern const GroupAdvantageKernels group_advantages_portable;
#if defined(__x86_64__)
extern const GroupAdvantageKernels group_advantages_avx2;
extern const GroupAdvantageKernels group_advantages_avx512;
#endif

}  // namespace adjudge
