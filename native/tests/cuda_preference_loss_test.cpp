// The preference losses over the SIMT shim against the f64 path on the same rounded inputs.
#include "reference/preference_loss.h"

#include <cmath>
#include <string>

#include "tests/cuda_launch.h"
#include "tests/preference_case.h"

namespace adjudge::cuda::testing {
namespace {

using namespace preference_testing;

void compare(const PreferenceRule& rule, const Case& data) {
  SCOPED_TRACE("kind " + std::to_string(static_cast<int>(rule.kind)) + ", normalization " +
               std::to_string(static_cast<int>(rule.length_normalization)));
  const auto wide = data.arrays<double>();
  const auto single = data.arrays<float>();
  std::vector<double> expected(data.log_probs.size());
  auto dual = data.batch<double>(rule, wide);
  dual.batch_size = 1;  // sums, so that gradients are no tiny numbers
  const PreferenceValue reference = reference::preference_loss(rule, dual, expected.data());
  auto batch = data.batch<float>(rule, single);
  batch.batch_size = 1;
  in_every_order([&](int threads) {
    std::vector<float> gradients(expected.size(), -7.0f);
    PreferenceValue value;
    value.loss = -7;
    Fault fault;
    enqueue(threads, [&](Launch& launch) {
      return adjudge_cuda_kernels()->preference_loss(rule, batch, static_cast<std::int64_t>(gradients.size()),
                                                     gradients.data(), &value, &fault, launch);
    });
    EXPECT_EQ(fault.kind, FaultKind::none);
    expect_close(gradients, expected, 1e-6);
    expect_value(value, reference, 1e-9);
    Bits bits;
    bits.add(gradients);
    bits.add(value);
    return bits;
  });
}

TEST(CudaPreferenceLoss, EveryKindIsTheReference) {
  const Case tokens(11, true, true), sums(140, false, false);
  for (const Kind kind : kinds) {
    compare(rule_of(kind, 2), tokens);
    compare(rule_of(kind, 0.4), sums);
  }
}

TEST(CudaPreferenceLoss, ManyRowsAreTheReference) {
  compare(rule_of(Kind::sigmoid, 0.4), Case(600, true, false));
  compare(rule_of(Kind::kto, 0.4), Case(600, true, false));
}

TEST(CudaPreferenceLoss, DivergencesMeansPerTokenAndTokenLossesAreTheReference) {
  for (const bool likelihood_mask : {false, true}) {
    Case data(12, true, true);
    data.likelihood_mask = likelihood_mask;
    for (const PreferenceRule& rule : divergence_rules()) compare(rule, data);
  }
}

TEST(CudaPreferenceLoss, ACompletionInEveryPairGathersAllOfThem) {
  Case data(700, false, false);
  for (std::size_t p = 0; p < data.chosen.size(); ++p) {
    data.chosen[p] = 0;
    data.rejected[p] = static_cast<std::int32_t>(p + 1);
  }
  compare(rule_of(Kind::sigmoid, 0.3), data);
}

TEST(CudaPreferenceLoss, FarFromTheReferenceEveryTermIsTheReference) {
  for (const Kind kind : kinds) {
    compare(rule_of(kind, 1), far_case());
  }
}

TEST(CudaPreferenceLoss, NothingToCompareIsNoLoss) {
  Case data(40, true, false);
  data.chosen.clear();
  data.rejected.clear();
  for (const Kind kind : {Kind::sigmoid, Kind::orpo, Kind::aot}) compare(rule_of(kind, 0.1), data);
}

TEST(CudaPreferenceLoss, OddsThatAreNotFiniteAreAFaultOfTheFirstPair) {
  Case data(600, false, false);
  for (const std::size_t row : {401u, 77u}) data.log_probs[row] = 0;
  const auto arrays = data.arrays<float>();
  const PreferenceRule rule = rule_of(Kind::orpo, 0.1);
  std::vector<float> gradients(600);
  in_every_order([&](int threads) {
    PreferenceValue value;
    Fault fault;
    enqueue(threads, [&](Launch& launch) {
      return adjudge_cuda_kernels()->preference_loss(rule, data.batch<float>(rule, arrays), 600,
                                                     gradients.data(), &value, &fault, launch);
    });
    EXPECT_EQ(fault.kind, FaultKind::probability_one);
    EXPECT_EQ(fault.index, 38);
    Bits bits;
    bits.add(fault.index);
    return bits;
  });
}

// More pairs than a block sorts, many of them equal, whose order is the pairs'.
TEST(CudaPreferenceLoss, SortedSidesOfManyPairsMeetAsInTheReference) {
  Case data(6000, false, false);
  for (std::size_t i = 0; i < 6000; i += 3)
    data.log_probs[i] = data.reference[i] = -4 - static_cast<float>(i % 9);
  ASSERT_GT(data.chosen.size(), 2048u);
  for (const Kind kind : {Kind::aot, Kind::aot_unpaired}) compare(rule_of(kind, 0.3), data);
}

TEST(CudaPreferenceLoss, SortedSidesWithMeansPerTokenTokenLossesAndCentresAreTheReference) {
  for (const Kind kind : {Kind::aot, Kind::aot_unpaired}) {
    PreferenceRule rule = rule_of(kind, 0.3);
    rule.length_normalization = Mean::log_prob;
    rule.nll_coefficient = 0.3;
    rule.center_coefficient = 0.01;
    compare(rule, Case(12, true, true));
  }
}

}  // namespace
}  // namespace adjudge::cuda::testing
