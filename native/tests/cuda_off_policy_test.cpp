// Importance weights, rejection, mismatch and vespo's weights over the SIMT shim against the f64 reference on
// the same rounded inputs.
#include "reference/off_policy.h"

#include <cmath>

#include "tests/cuda_launch.h"

namespace adjudge::cuda::testing {
namespace {

using namespace rl;

template <typename Record>
void expect_metrics(const Record& got, const Record& expected) {
  static_assert(sizeof(Record) % sizeof(double) == 0);
  const auto* left = reinterpret_cast<const double*>(&got);
  const auto* right = reinterpret_cast<const double*>(&expected);
  for (std::size_t i = 0; i < sizeof(Record) / sizeof(double); ++i) {
    ASSERT_NEAR(left[i], right[i], 1e-6 * (1 + std::abs(right[i]))) << "metric " << i;
  }
}

struct Case {
  Ragged ragged;
  std::vector<float> log_probs, rollout, advantages;
  std::vector<double> wide_log_probs, wide_rollout, wide_advantages;

  explicit Case(const std::vector<int>& lengths) : ragged(lengths) {
    log_probs = ragged.normal(ragged.tokens(), 0.6, -2);
    rollout = log_probs;
    for (float& value : log_probs) value = std::min(value, -1e-4f);
    const std::vector<float> change = ragged.normal(ragged.tokens(), 0.1);
    for (std::size_t t = 0; t < rollout.size(); ++t) {
      rollout[t] = t % 11 == 5 ? std::nanf("") : std::min(log_probs[t] + change[t], 0.0f);
    }
    log_probs = ragged.hidden(log_probs);
    rollout = ragged.hidden(rollout);
    advantages = ragged.normal(ragged.rows());
    wide_log_probs = widened(log_probs);
    wide_rollout = widened(rollout);
    wide_advantages = widened(advantages);
  }

  RolloutBatch<float> single() const {
    return {log_probs.data(),   rollout.data(),           advantages.data(),
            ragged.mask.data(), ragged.cu_seqlens.data(), ragged.rows()};
  }
  RolloutBatch<double> dual() const {
    return {wide_log_probs.data(), wide_rollout.data(),      wide_advantages.data(),
            ragged.mask.data(),    ragged.cu_seqlens.data(), ragged.rows()};
  }
};

void compare(const WeightRule& rule, const Case& data) {
  const Ragged& ragged = data.ragged;
  const bool sequence = rule.level == WeightLevel::sequence;
  std::vector<double> expected(ragged.tokens()), expected_sequences(sequence ? ragged.rows() : 0);
  const WeightMetrics reference = reference::importance_weights(
      rule, data.dual(), expected.data(), sequence ? expected_sequences.data() : nullptr);
  in_every_order([&](int threads) {
    std::vector<float> weights(ragged.tokens(), -7.0f), sequences(expected_sequences.size(), -7.0f);
    WeightMetrics metrics;
    enqueue(threads, [&](Launch& launch) {
      return adjudge_cuda_kernels()->importance_weights(
          rule, data.single(), static_cast<std::int64_t>(ragged.tokens()), weights.data(),
          sequence ? sequences.data() : nullptr, &metrics, launch);
    });
    expect_close(weights, expected);
    expect_close(sequences, expected_sequences);
    expect_metrics(metrics, reference);
    Bits bits;
    bits.add(weights);
    bits.add(sequences);
    bits.add(metrics);
    return bits;
  });
}

const std::vector<int> lengths{0, 1, 3, 127, 0, 128, 129, 1100, 2, 31, 0};

TEST(CudaOffPolicy, WeightsOfEveryGateAndLevelAreTheReference) {
  const Case data(lengths);
  for (const auto level : {WeightLevel::token, WeightLevel::sequence}) {
    for (const auto gate :
         {WeightGate::weight, WeightGate::geometric_mean, WeightGate::binary_kl, WeightGate::binary_kl_mean,
          WeightGate::total_variation, WeightGate::total_variation_mean}) {
      SCOPED_TRACE("gate " + std::to_string(static_cast<int>(gate)));
      WeightRule rule;
      rule.level = level;
      rule.gate = gate;
      rule.outside = OutsideBand::zero;
      rule.log_ratio_limit = 20;
      const bool ratio = gate == WeightGate::weight || gate == WeightGate::geometric_mean;
      rule.low = ratio ? 0.98 : rule.low;
      rule.high = ratio ? 1.02 : 5e-4;
      compare(rule, data);
      rule.normalize = true;
      rule.count_epsilon = 1e-8;
      compare(rule, data);
    }
  }
}

TEST(CudaOffPolicy, ClippedWeightsAreTheReference) {
  const Case data(lengths);
  WeightRule rule;
  rule.high = 1.05;
  compare(rule, data);
  rule.level = WeightLevel::sequence;
  rule.low = 0.5;
  rule.high = 2;
  compare(rule, data);
}

TEST(CudaOffPolicy, NothingCountedGivesTheReferencesNumbers) {
  Case data({5, 0, 40});
  data.ragged.mask.assign(data.ragged.tokens(), 0);
  WeightRule rule;
  rule.normalize = true;
  compare(rule, data);
  rule.level = WeightLevel::sequence;
  compare(rule, data);
  compare(rule, Case({}));
}

void compare(const RejectionRule& rule, const Case& data) {
  const Ragged& ragged = data.ragged;
  std::vector<std::uint8_t> counted = ragged.mask;
  for (std::uint8_t& one : counted) one = one != 0;
  std::vector<std::uint8_t> expected = counted, expected_keep(ragged.rows(), 1);
  std::vector<CriterionMetrics> reference;
  for (const Criterion& criterion : rule.criteria) {
    reference.push_back(
        reference::reject(criterion, rule, data.dual(), expected.data(), expected_keep.data()));
  }
  in_every_order([&](int threads) {
    std::vector<std::uint8_t> mask = counted, keep(ragged.rows(), 1);
    Bits bits;
    for (std::size_t i = 0; i < rule.criteria.size(); ++i) {
      CriterionMetrics metrics;
      metrics.mean = -7;
      enqueue(threads, [&](Launch& launch) {
        return adjudge_cuda_kernels()->rejection(rule.criteria[i], rule.log_ratio_limit, rule.count_epsilon,
                                                 data.single(), static_cast<std::int64_t>(ragged.tokens()),
                                                 mask.data(), keep.data(), &metrics, launch);
      });
      expect_metrics(metrics, reference[i]);
      bits.add(metrics);
    }
    EXPECT_EQ(mask, expected);
    EXPECT_EQ(keep, expected_keep);
    bits.add(mask);
    bits.add(keep);
    return bits;
  });
}

TEST(CudaOffPolicy, EveryCriterionRejectsWhatTheReferenceDoes) {
  const Case data(lengths);
  for (const auto level : {RejectionLevel::token, RejectionLevel::sequence_sum, RejectionLevel::sequence_mean,
                           RejectionLevel::sequence_max}) {
    const double scale = level == RejectionLevel::sequence_mean ? 0.1 : 1;
    RejectionRule rule;
    rule.log_ratio_limit = 20;
    rule.count_epsilon = 1e-8;
    rule.criteria = {{RejectionStatistic::ratio, level, 1 - 0.1 * scale, 1 + 0.1 * scale, false},
                     {RejectionStatistic::k1, level, -0.15 * scale, 0.15 * scale, true},
                     {RejectionStatistic::k2, level, -INFINITY, 0.02 * scale, false},
                     {RejectionStatistic::k3, level, -INFINITY, 0.02 * scale, true},
                     {RejectionStatistic::binary_kl, level, -INFINITY, 0.01 * scale, false},
                     {RejectionStatistic::total_variation, level, -INFINITY, 0.05 * scale, false}};
    for (const Criterion& criterion : rule.criteria) {
      SCOPED_TRACE("statistic " + std::to_string(static_cast<int>(criterion.statistic)));
      compare({{criterion}, 20, 1e-8}, data);
    }
    compare(rule, data);
  }
}

TEST(CudaOffPolicy, RejectionOfNothingCounted) {
  Case data({5, 0, 40});
  data.ragged.mask.assign(data.ragged.tokens(), 0);
  const RejectionRule rule{{{RejectionStatistic::k3, RejectionLevel::sequence_mean, 0.1, 0.5, false}}, 20, 0};
  compare(rule, data);
  compare(rule, Case({}));
}

void compare_mismatch(const Case& data) {
  const MismatchMetrics reference = reference::mismatch_metrics(data.dual());
  in_every_order([&](int threads) {
    MismatchMetrics metrics;
    metrics.missing = -7;
    enqueue(threads, [&](Launch& launch) {
      return adjudge_cuda_kernels()->mismatch_metrics(
          data.single(), static_cast<std::int64_t>(data.ragged.tokens()), &metrics, launch);
    });
    expect_metrics(metrics, reference);
    Bits bits;
    bits.add(metrics);
    return bits;
  });
}

TEST(CudaOffPolicy, MismatchIsTheReference) {
  Case data(lengths);
  compare_mismatch(data);
  data.ragged.mask.assign(data.ragged.tokens(), 0);
  compare_mismatch(data);
  compare_mismatch(Case({}));
}

TEST(CudaOffPolicy, GammaWeightsAreTheReference) {
  Case data(lengths);
  Ragged& ragged = data.ragged;
  const std::vector<float> old = ragged.hidden(ragged.normal(ragged.tokens(), 0.6, -2));
  std::vector<float> importance = ragged.normal(ragged.tokens(), 0.2, 1);
  for (std::size_t t = 0; t < importance.size(); ++t)
    importance[t] = t % 13 == 4 ? 0 : std::abs(importance[t]);
  const auto wide_old = widened(old), wide_importance = widened(importance);
  for (const bool weighted : {false, true}) {
    GammaWeight rule;
    rule.masked_importance = weighted;
    const GammaBatch<double> dual{data.wide_log_probs.data(),
                                  wide_old.data(),
                                  weighted ? wide_importance.data() : nullptr,
                                  data.wide_advantages.data(),
                                  ragged.mask.data(),
                                  ragged.cu_seqlens.data(),
                                  ragged.rows()};
    const GammaBatch<float> single{
        data.log_probs.data(),  old.data(),         weighted ? importance.data() : nullptr,
        data.advantages.data(), ragged.mask.data(), ragged.cu_seqlens.data(),
        ragged.rows()};
    std::vector<double> expected(ragged.rows());
    reference::gamma_weights(rule, dual, expected.data());
    in_every_order([&](int threads) {
      std::vector<float> weights(ragged.rows(), -7.0f);
      enqueue(threads, [&](Launch& launch) {
        return adjudge_cuda_kernels()->gamma_weights(rule, single, static_cast<std::int64_t>(ragged.tokens()),
                                                     weights.data(), launch);
      });
      expect_close(weights, expected);
      Bits bits;
      bits.add(weights);
      return bits;
    });
  }
}

}  // namespace
}  // namespace adjudge::cuda::testing
