// The kernels of group advantages against the f64 reference on the same rounded rewards: every rule that has
// a kernel, for the instruction set that ADJUDGE_ISA chooses.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "native/core/error.h"
#include "native/core/thread_pool.h"
#include "native/cpu/group_advantages.h"
#include "native/reference/advantage.h"
#include "native/rl/advantage.h"

namespace adjudge::rl {
namespace {

using Floats = std::vector<float>;

// Groups of 0 to 40 members, one of 3,000, constant ones, ones far from 0, unscored members.
struct Groups {
  std::vector<std::int32_t> offsets{0};
  Floats rewards, baselines;
  std::vector<std::uint8_t> scored;

  Groups(unsigned seed, int groups, int uniform) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (int g = 0; g < groups; ++g) {
      const int size = uniform > 0 ? uniform : g == 5 ? 3000 : static_cast<int>(random() % 41);
      const float place = g % 4 == 1 ? 1000 : 0;
      const float width = g % 5 == 2 ? 0 : 1;
      for (int i = 0; i < size; ++i) {
        const bool judged = random() % 11 != 0;
        scored.push_back(random() % 9 != 0 && g % 13 != 3 ? 1 : 0);
        rewards.push_back(judged ? place + width * normal(random) + 0.1F
                                 : std::numeric_limits<float>::quiet_NaN());
        baselines.push_back(normal(random));
      }
      offsets.push_back(static_cast<std::int32_t>(rewards.size()));
    }
  }

  AdvantageBatch<float> batch(bool marks) const {
    AdvantageBatch<float> result;
    result.rewards = rewards.data();
    result.baselines = baselines.data();
    result.scored = marks ? scored.data() : nullptr;
    result.group_offsets = offsets.data();
    result.groups = offsets.size() - 1;
    return result;
  }
};

void near(double expected, double value, double tolerance, const std::string& name) {
  if (std::isnan(expected)) {
    EXPECT_TRUE(std::isnan(value)) << name;
  } else {
    EXPECT_NEAR(value, expected, tolerance * (1 + std::abs(expected))) << name;
  }
}

void compare(const AdvantageRule& rule, const AdvantageBatch<float>& batch, const std::string& name) {
  const auto count = static_cast<std::size_t>(batch.groups > 0 ? batch.group_offsets[batch.groups] : 0);
  const std::vector<double> rewards(batch.rewards, batch.rewards + count);
  const std::vector<double> baselines(batch.baselines, batch.baselines + count);
  AdvantageBatch<double> wide;
  wide.rewards = rewards.data();
  wide.baselines = baselines.data();
  wide.weights = batch.weights;
  wide.scored = batch.scored;
  wide.group_offsets = batch.group_offsets;
  wide.groups = batch.groups;
  std::vector<double> expected(count);
  Floats values(count, 7);
  const AdvantageMetrics wanted = reference::compute_advantages<double>(rule, wide, expected.data(), nullptr);
  AdvantageMetrics metrics;
  ASSERT_TRUE(group_advantages_apply(rule, batch)) << name;
  ASSERT_TRUE(group_advantages(rule, batch, values.data(), metrics)) << name;
  for (std::size_t i = 0; i < count; ++i) {
    near(expected[i], static_cast<double>(values[i]), 1e-6, name + " completion " + std::to_string(i));
  }
  near(wanted.reward, metrics.reward, 1e-12, name + " reward");
  near(wanted.reward_std, metrics.reward_std, 1e-10, name + " reward_std");
  EXPECT_EQ(wanted.dead_groups, metrics.dead_groups) << name;
  EXPECT_EQ(wanted.scored_groups, metrics.scored_groups) << name;
  EXPECT_EQ(wanted.unscored, metrics.unscored) << name;
  EXPECT_EQ(wanted.frac_reward_zero_std, metrics.frac_reward_zero_std) << name;
}

TEST(RlGroupAdvantages, EveryRuleEqualsTheReference) {
  for (const int uniform : {0, 1, 2, 4, 7, 8, 9, 16}) {
    const Groups groups(static_cast<unsigned>(uniform) + 1, 300, uniform);
    for (const Baseline baseline :
         {Baseline::group, Baseline::leave_one_out, Baseline::batch, Baseline::given, Baseline::none}) {
      for (const Scale scale : {Scale::group, Scale::batch, Scale::none}) {
        for (const Singleton singleton : {Singleton::zero, Singleton::reward}) {
          for (const bool marks : {false, true}) {
            AdvantageRule rule;
            rule.baseline = baseline;
            rule.scale = scale;
            rule.singleton = singleton;
            rule.bessel = marks;
            compare(rule, groups.batch(marks),
                    "size " + std::to_string(uniform) + " baseline " +
                        std::to_string(static_cast<int>(baseline)) + " scale " +
                        std::to_string(static_cast<int>(scale)));
          }
        }
      }
    }
  }
}

TEST(RlGroupAdvantages, WeightsAndBounds) {
  const Groups groups(20, 200, 0);
  const double weight = 0.3;
  AdvantageBatch<float> batch = groups.batch(true);
  batch.weights = &weight;
  for (const ClipPlace place : {ClipPlace::before_baseline, ClipPlace::after_baseline}) {
    AdvantageRule rule;
    rule.clip_low = -0.2;
    rule.clip_high = 0.25;
    rule.clip_place = place;
    compare(rule, batch, "bounds");
    rule.clip_high = std::numeric_limits<double>::infinity();
    compare(rule, batch, "one bound");
  }
}

TEST(RlGroupAdvantages, ConstantGroupsAreExactlyZero) {
  const Floats rewards(1000, 0.1F);
  std::vector<std::int32_t> offsets;
  for (std::int32_t i = 0; i <= 1000; i += 25) offsets.push_back(i);
  AdvantageBatch<float> batch;
  batch.rewards = rewards.data();
  batch.group_offsets = offsets.data();
  batch.groups = 40;
  Floats values(1000, 7);
  for (const Baseline baseline : {Baseline::group, Baseline::leave_one_out}) {
    AdvantageRule rule;
    rule.baseline = baseline;
    rule.epsilon = 1e-30;
    const AdvantageMetrics metrics = compute_advantages<float>(rule, batch, values.data(), nullptr);
    EXPECT_EQ(values, Floats(1000, 0));
    EXPECT_EQ(metrics.dead_groups, 40U);
    EXPECT_EQ(metrics.reward_std, 0);
  }
}

TEST(RlGroupAdvantages, EverySizeFarFromZero) {
  for (const float place : {0.0F, 7.3F, 1000.1F, 1e6F}) {
    for (int size = 1; size <= 70; ++size) {
      std::mt19937 random(static_cast<unsigned>(size));
      std::normal_distribution<float> normal;
      Groups groups(1, 0, 0);
      for (int g = 0; g < 37; ++g) {
        for (int i = 0; i < size; ++i) groups.rewards.push_back(place + (g % 7 == 3 ? 0 : normal(random)));
        groups.offsets.push_back(static_cast<std::int32_t>(groups.rewards.size()));
      }
      groups.baselines.resize(groups.rewards.size(), place);
      AdvantageRule rule;
      rule.bessel = size % 2 == 0;
      compare(rule, groups.batch(false), "size " + std::to_string(size) + " at " + std::to_string(place));
      rule.scale = Scale::none;
      rule.baseline = size % 3 == 0 ? Baseline::group : Baseline::leave_one_out;
      compare(rule, groups.batch(false), "unscaled, size " + std::to_string(size));
    }
  }
}

// Members one or a few units in the last place apart, on either side of a power of two, or far from another.
TEST(RlGroupAdvantages, SmallSpreadsKeepTheirDigits) {
  for (const float place : {1.0F, -1.9999999F, 2.0F, 1000.1F, 4096.0F, 16777216.0F}) {
    for (const int size : {4, 8, 16}) {
      std::mt19937 random(80);
      Groups groups(1, 0, 0);
      for (int g = 0; g < 40; ++g) {
        for (int i = 0; i < size; ++i) {
          const int steps = g % 4 == 0 ? i == g % size : static_cast<int>(random() % 5) - 2;
          float reward = place;
          for (int k = 0; k < std::abs(steps); ++k) reward = std::nextafter(reward, steps > 0 ? 1e9F : -1e9F);
          groups.rewards.push_back(g % 5 == 1 && i == 3 ? place * 1e-3F : reward);
        }
        groups.offsets.push_back(static_cast<std::int32_t>(groups.rewards.size()));
      }
      groups.baselines.resize(groups.rewards.size(), 0);
      for (const double epsilon : {1e-11, 1e-4}) {
        AdvantageRule rule;
        rule.epsilon = epsilon;
        compare(rule, groups.batch(false), "size " + std::to_string(size) + " at " + std::to_string(place));
      }
    }
  }
}

// Alone, among groups of its own size, and among others with unscored members.
TEST(RlGroupAdvantages, AGroupHasTheSameBitsWhateverIsBesideIt) {
  for (const int uniform : {0, 4, 8, 16, 24, 40}) {
    const Groups groups(40 + static_cast<unsigned>(uniform), 400, uniform);
    for (const Scale scale : {Scale::group, Scale::none}) {
      AdvantageRule rule;
      rule.scale = scale;
      const AdvantageBatch<float> batch = groups.batch(false);
      Floats whole(groups.rewards.size(), 7);
      compute_advantages<float>(rule, batch, whole.data(), nullptr);
      for (std::size_t g = 0; g < batch.groups; ++g) {
        const std::int32_t begin = groups.offsets[g], size = groups.offsets[g + 1] - begin;
        const std::int32_t offsets[] = {0, size};
        AdvantageBatch<float> one = batch;
        one.rewards += begin;
        one.group_offsets = offsets;
        one.groups = 1;
        Floats alone(static_cast<std::size_t>(size), 7);
        compute_advantages<float>(rule, one, alone.data(), nullptr);
        EXPECT_TRUE(std::equal(alone.begin(), alone.end(), whole.begin() + begin))
            << uniform << " group " << g;
      }
    }
  }
}

TEST(RlGroupAdvantages, ConstantGroupsOfEverySizeAreExactlyZero) {
  for (const float reward : {0.1F, 0.7F, 1000.1F, -3e20F, 1e-30F}) {
    Floats rewards;
    std::vector<std::int32_t> offsets{0};
    for (int size = 1; size <= 70; ++size) {
      rewards.insert(rewards.end(), static_cast<std::size_t>(size), reward);
      offsets.push_back(static_cast<std::int32_t>(rewards.size()));
    }
    AdvantageBatch<float> batch;
    batch.rewards = rewards.data();
    batch.group_offsets = offsets.data();
    batch.groups = 70;
    Floats values(rewards.size(), 7);
    const AdvantageMetrics metrics = compute_advantages<float>({}, batch, values.data(), nullptr);
    EXPECT_EQ(values, Floats(rewards.size(), 0)) << reward;
    EXPECT_EQ(metrics.dead_groups, 70U);
    EXPECT_EQ(metrics.reward_std, 0);
  }
}

TEST(RlGroupAdvantages, RewardsAtTheEdgesOfF32) {
  for (const float width : {1e-40F, 1e-20F, 1e-10F, 1e10F, 1e20F, 1e34F}) {
    Groups groups(50, 40, 8);
    for (float& reward : groups.rewards) reward *= width;
    AdvantageRule rule;
    rule.epsilon = 1e-45;
    compare(rule, groups.batch(false), "width " + std::to_string(width));
  }
}

TEST(RlGroupAdvantages, InfiniteRewardsAndLoneMembersAreRefusedAsEverywhere) {
  Floats rewards{1, 2, 3, INFINITY, 5};
  const std::vector<std::int32_t> offsets{0, 2, 4, 5};
  AdvantageBatch<float> batch;
  batch.rewards = rewards.data();
  batch.group_offsets = offsets.data();
  batch.groups = 3;
  Floats values(5);
  EXPECT_THROW(compute_advantages<float>(AdvantageRule{}, batch, values.data(), nullptr), Error);
  rewards[3] = 4;
  AdvantageRule rule;
  rule.singleton = Singleton::error;
  EXPECT_THROW(compute_advantages<float>(rule, batch, values.data(), nullptr), Error);
}

TEST(RlGroupAdvantages, EmptyBatches) {
  const std::vector<std::int32_t> offsets{0, 0, 0};
  const Floats none(1);
  AdvantageBatch<float> batch;
  batch.rewards = none.data();
  batch.baselines = none.data();
  batch.group_offsets = offsets.data();
  compare(AdvantageRule{}, batch, "no groups");
  batch.groups = 2;
  compare(AdvantageRule{}, batch, "empty groups");
}

TEST(RlGroupAdvantages, RaggedBatchesHaveTheSameBitsWhateverTheThreads) {
  const Groups groups(60, 20000, 0);
  const AdvantageBatch<float> batch = groups.batch(true);
  const int before = threads();
  Floats first;
  std::vector<double> numbers;
  for (const int threads : {1, 2, 4}) {
    set_threads(threads);
    Floats values(groups.rewards.size(), 7);
    const AdvantageMetrics metrics = compute_advantages<float>({}, batch, values.data(), nullptr);
    if (threads == 1) {
      first = values;
      numbers = {metrics.reward, metrics.reward_std};
    }
    EXPECT_EQ(first, values);
    EXPECT_EQ(numbers, (std::vector<double>{metrics.reward, metrics.reward_std}));
  }
  set_threads(before);
}

TEST(RlGroupAdvantages, AnInfiniteRewardAnywhereIsRefused) {
  Groups groups(70, 9000, 8);
  for (const std::size_t at : {std::size_t{0}, std::size_t{33333}, groups.rewards.size() - 1}) {
    const float reward = groups.rewards[at];
    groups.rewards[at] = -INFINITY;
    Floats values(groups.rewards.size());
    EXPECT_THROW(compute_advantages<float>({}, groups.batch(false), values.data(), nullptr), Error) << at;
    groups.rewards[at] = reward;
  }
}

// Large outputs of whole vectors are written past the caches.
TEST(RlGroupAdvantages, LargeBatchesGiveTheBitsOfTheirPartsWhateverTheThreads) {
  const std::int32_t groups = (std::int32_t{1} << 20) + 8, size = 8, count = groups * size;
  Floats rewards(count), parts(count, 7);
  std::vector<std::int32_t> offsets(groups + 1);
  for (std::int32_t i = 0; i < count; ++i) rewards[i] = static_cast<float>(i % 1013 % 7) + 0.3F;
  for (std::int32_t g = 0; g <= groups; ++g) offsets[g] = g * size;
  AdvantageBatch<float> batch;
  batch.rewards = rewards.data();
  batch.group_offsets = offsets.data();
  const int before = threads();
  batch.groups = groups / 2;
  compute_advantages<float>(AdvantageRule{}, batch, parts.data(), nullptr);
  batch.rewards = rewards.data() + count / 2;
  compute_advantages<float>(AdvantageRule{}, batch, parts.data() + count / 2, nullptr);
  batch.rewards = rewards.data();
  batch.groups = groups;
  std::vector<double> first;
  for (const int threads : {1, 2, 4}) {
    set_threads(threads);
    Floats whole(count, 7);
    const AdvantageMetrics metrics = compute_advantages<float>(AdvantageRule{}, batch, whole.data(), nullptr);
    EXPECT_EQ(std::memcmp(whole.data(), parts.data(), parts.size() * sizeof(float)), 0) << threads;
    const std::vector<double> numbers{metrics.reward, metrics.reward_std};
    if (first.empty()) first = numbers;
    EXPECT_EQ(first, numbers) << threads;
  }
  set_threads(before);
}

}  // namespace
}  // namespace adjudge::rl
