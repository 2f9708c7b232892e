#include "reference/advantage.h"

#include "tests/cuda_launch.h"

namespace adjudge::cuda::testing {
namespace {

using namespace rl;

// Groups over ragged rows; two reward functions that do not judge everything.
struct Completions {
  Ragged ragged;
  std::vector<std::int32_t> groups;
  std::vector<float> rewards;
  std::vector<double> weights{0.7, 1.3};
  std::vector<std::uint8_t> scored;
  std::vector<float> penalties, baselines, values, log_probs, sum_pi_squared, importance_weights;
  std::size_t functions;

  Completions(const std::vector<int>& lengths, std::vector<std::int32_t> offsets, std::size_t number)
      : ragged(lengths), groups(std::move(offsets)), functions(number) {
    const std::size_t n = ragged.rows();
    rewards = ragged.normal(n * functions, 1.0, 3.0);
    for (std::size_t i = 0; i < rewards.size(); ++i) {
      if (i % 11 == 3) rewards[i] = std::nanf("");
      if (i % 5 == 0) rewards[i] = 0.1f;
    }
    // The second group does not vary.
    if (groups.size() > 2) {
      for (auto i = static_cast<std::size_t>(groups[1]); i < static_cast<std::size_t>(groups[2]); ++i) {
        for (std::size_t k = 0; k < functions; ++k) rewards[i * functions + k] = 0.1f;
      }
    }
    for (std::size_t i = 0; i < n; ++i) scored.push_back(i % 7 != 5);
    penalties = ragged.hidden(ragged.normal(ragged.tokens(), 0.1));
    baselines = ragged.normal(n);
    values = ragged.hidden(ragged.normal(ragged.tokens()));
    for (auto* array : {&log_probs, &sum_pi_squared, &importance_weights}) {
      *array = ragged.normal(ragged.tokens(), 0.5);
    }
    for (float& one : log_probs) one = -std::abs(one);
    for (float& one : sum_pi_squared) one = std::exp(-std::abs(one));
    for (auto* array : {&log_probs, &sum_pi_squared, &importance_weights}) *array = ragged.hidden(*array);
  }

  template <typename Float, typename Of>
  AdvantageBatch<Float> batch(Of&& of, bool tokens) const {
    AdvantageBatch<Float> result;
    result.rewards = of(rewards);
    result.functions = functions;
    result.weights = functions > 1 ? weights.data() : nullptr;
    result.scored = scored.data();
    result.group_offsets = groups.data();
    result.groups = groups.size() - 1;
    result.cu_seqlens = ragged.cu_seqlens.data();
    result.mask = ragged.mask.data();
    result.penalties = tokens ? of(penalties) : nullptr;
    result.baselines = of(baselines);
    result.values = of(values);
    result.log_probs = of(log_probs);
    result.sum_pi_squared = of(sum_pi_squared);
    result.importance_weights = of(importance_weights);
    return result;
  }
};

void compare(const AdvantageRule& rule, const Completions& data, bool penalised = false) {
  const std::size_t n = data.ragged.rows();
  std::vector<std::vector<double>> kept;
  kept.reserve(8);
  const auto wide = data.batch<double>(
      [&](const std::vector<float>& values) {
        kept.push_back(widened(values));
        return static_cast<const double*>(kept.back().data());
      },
      penalised);
  const auto batch =
      data.batch<float>([](const std::vector<float>& values) { return values.data(); }, penalised);
  const std::size_t length = advantages_per_token(rule, batch) ? data.ragged.tokens() : n;
  const bool returning = rule.estimator == Estimator::gae;
  std::vector<double> expected(length), expected_returns(returning ? length : 0);
  const AdvantageMetrics wanted = reference::compute_advantages(
      rule, wide, expected.data(), returning ? expected_returns.data() : nullptr);
  in_every_order([&](int threads) {
    std::vector<float> values(length, -7.0f), returns(expected_returns.size(), -7.0f);
    AdvantageMetrics metrics;
    Fault fault;
    enqueue(threads, [&](Launch& launch) {
      return adjudge_cuda_kernels()->advantages(
          rule, batch, {static_cast<std::int64_t>(n), static_cast<std::int64_t>(data.ragged.tokens())},
          values.data(), returning ? returns.data() : nullptr, &metrics, &fault, launch);
    });
    EXPECT_EQ(fault.kind, FaultKind::none);
    expect_close(values, expected);
    expect_close(returns, expected_returns);
    EXPECT_NEAR(metrics.reward, wanted.reward, 1e-9);
    EXPECT_NEAR(metrics.reward_std, wanted.reward_std, 1e-9);
    EXPECT_NEAR(metrics.frac_reward_zero_std, wanted.frac_reward_zero_std, 1e-12);
    EXPECT_EQ(metrics.dead_groups, wanted.dead_groups);
    EXPECT_EQ(metrics.scored_groups, wanted.scored_groups);
    EXPECT_EQ(metrics.unscored, wanted.unscored);
    Bits bits;
    bits.add(values);
    bits.add(returns);
    return bits;
  });
}

Completions small_groups(std::size_t functions) {
  return {{3, 0, 5, 9, 1, 2, 40, 7, 8, 6, 33, 4, 4, 70, 2, 11, 12, 3, 9, 10, 5, 6, 1, 2, 3},
          {0, 4, 8, 8, 15, 16, 24, 25},
          functions};
}

Completions large_groups() {
  std::vector<int> lengths(140, 2);
  return {lengths, {0, 90, 100, 140}, 1};
}

TEST(CudaAdvantages, EveryBaselineAndScale) {
  const Completions data = small_groups(1);
  for (const Baseline baseline :
       {Baseline::group, Baseline::batch, Baseline::leave_one_out, Baseline::length_weighted,
        Baseline::second_best, Baseline::given, Baseline::none}) {
    for (const Scale scale :
         {Scale::group, Scale::batch, Scale::batch_advantage, Scale::nonzero, Scale::none}) {
      SCOPED_TRACE("baseline " + std::to_string(static_cast<int>(baseline)) + ", scale " +
                   std::to_string(static_cast<int>(scale)));
      AdvantageRule rule;
      rule.baseline = baseline;
      rule.scale = scale;
      rule.singleton = scale == Scale::none ? Singleton::reward : Singleton::zero;
      rule.bessel = scale != Scale::batch;
      compare(rule, data);
      if (HasFailure()) return;
    }
  }
}

TEST(CudaAdvantages, LargeGroupsByWarps) {
  const Completions data = large_groups();
  for (const Baseline baseline : {Baseline::group, Baseline::leave_one_out, Baseline::second_best}) {
    AdvantageRule rule;
    rule.baseline = baseline;
    compare(rule, data);
  }
}

TEST(CudaAdvantages, SeveralFunctionsClipsAndPenalties) {
  const Completions data = small_groups(2);
  AdvantageRule rule;
  compare(rule, data);
  rule.multi_objective = MultiObjective::normalize_then_sum;
  compare(rule, data);
  rule.scale = Scale::batch_advantage;
  rule.clip_low = -0.5;
  rule.clip_high = 0.5;
  rule.clip_place = ClipPlace::after_baseline;
  compare(rule, data);
  rule = {};
  rule.clip_low = -2;
  rule.clip_high = 3.5;
  compare(rule, data, true);
}

TEST(CudaAdvantages, ReturnsGaeAndWhiteningPerToken) {
  const Completions data = small_groups(1);
  for (const MaskedReturn masked : {MaskedReturn::skip, MaskedReturn::through}) {
    AdvantageRule rule;
    rule.gamma = 0.97;
    rule.masked_return = masked;
    rule.penalty_per_token = true;
    compare(rule, data, true);
    rule.whitening.enabled = true;
    rule.whitening.count_epsilon = 1e-3;
    compare(rule, data, true);
    rule.estimator = Estimator::gae;
    rule.lambda = 0.9;
    rule.baseline = Baseline::none;
    rule.scale = Scale::none;
    rule.whitening.epsilon_rule = EpsilonRule::floor;
    compare(rule, data, true);
  }
}

TEST(CudaAdvantages, OptimalTokenBaseline) {
  Completions data = small_groups(1);
  // A row without a counted token, and one longer than a block.
  for (std::int32_t t = data.ragged.cu_seqlens[2]; t < data.ragged.cu_seqlens[3]; ++t)
    data.ragged.mask[static_cast<std::size_t>(t)] = 0;
  const Completions long_rows({700, 1, 650, 0, 700, 90}, {0, 4, 4, 6}, 1);
  for (const Alignment alignment : {Alignment::position, Alignment::counted}) {
    for (const bool zero_tail : {true, false}) {
      AdvantageRule rule;
      rule.baseline = Baseline::optimal_token;
      rule.scale = Scale::none;
      rule.singleton = Singleton::reward;
      rule.alignment = alignment;
      rule.zero_tail = zero_tail;
      rule.epsilon = zero_tail ? 1e-8 : 0;
      compare(rule, data);
      compare(rule, long_rows);
      rule.gamma = 0.97;
      rule.whitening.enabled = true;
      compare(rule, data, true);
      if (HasFailure()) return;
    }
  }
}

TEST(CudaAdvantages, FaultsNameTheFirstPlace) {
  Completions data = small_groups(1);
  const auto fault_of = [&](const AdvantageRule& rule) {
    const auto batch =
        data.batch<float>([](const std::vector<float>& values) { return values.data(); }, false);
    std::vector<float> values(data.ragged.rows());
    AdvantageMetrics metrics;
    Fault fault;
    enqueue(32, [&](Launch& launch) {
      return adjudge_cuda_kernels()->advantages(rule, batch, {static_cast<std::int64_t>(values.size()), 0},
                                                values.data(), nullptr, &metrics, &fault, launch);
    });
    return fault;
  };
  AdvantageRule rule;
  rule.singleton = Singleton::error;
  EXPECT_EQ(fault_of(rule).kind, FaultKind::group_of_one);
  EXPECT_EQ(fault_of(rule).index, 4);
  data.rewards[20] = data.rewards[10] = INFINITY;
  EXPECT_EQ(fault_of(rule).kind, FaultKind::reward_infinite);
  EXPECT_EQ(fault_of(rule).index, 10);
}

}  // namespace
}  // namespace adjudge::cuda::testing
