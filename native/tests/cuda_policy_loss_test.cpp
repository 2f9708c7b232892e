// The policy loss over the SIMT shim against the f64 reference on the same rounded inputs.
#include <cmath>
#include <string>

#include "reference/loss_selection.h"
#include "reference/policy_loss.h"
#include "tests/cuda_launch.h"
#include "tests/policy_loss_batches.h"

namespace adjudge::cuda::testing {
namespace {

using namespace rl;
using namespace rl::testing;

// What a draw is made from: the device is given it.
std::vector<std::uint8_t> drawn_tokens(const LossRule& rule, LossBatch<float> batch) {
  if (rule.kind != LossKind::clip_cov) return {};
  const std::vector<std::uint8_t> kept = reference::kept_tokens(rule, batch);
  if (!kept.empty()) batch.mask = kept.data();
  return reference::covariance_tokens(rule, batch);
}

struct Outcome {
  Floats gradients, entropy_gradients;
  LossValue value;
};

Outcome on_device(const LossRule& rule, const LossBatch<float>& batch, std::size_t tokens, int threads) {
  const std::vector<std::uint8_t> drawn = drawn_tokens(rule, batch);
  Outcome outcome{Floats(tokens, -7), Floats(tokens, -7), {}};
  outcome.value.loss = -7;
  enqueue(threads, [&](Launch& launch) {
    return adjudge_cuda_kernels()->policy_loss(
        rule, batch, static_cast<std::int64_t>(tokens), drawn.empty() ? nullptr : drawn.data(),
        outcome.gradients.data(), outcome.entropy_gradients.data(), &outcome.value, launch);
  });
  return outcome;
}

struct Expected {
  std::vector<double> gradients, entropy_gradients;
  LossValue value;

  // From the rounded numbers, so that a draw by their bits is the same one.
  Expected(const LossRule& rule, const LossBatch<float>& batch, std::size_t tokens)
      : gradients(tokens), entropy_gradients(tokens) {
    Floats single(tokens), single_entropy(tokens);
    value = reference::policy_loss(rule, batch, single.data(), single_entropy.data());
    gradients = widened(single);
    if (batch.entropies) entropy_gradients = widened(single_entropy);
  }
};

// Gradients are compared as those of a sum: a mean over many tokens would hide every difference.
void expect_same(const LossRule& rule, const Expected& expected, const Outcome& outcome) {
  const double scale =
      rule.aggregation.kind == Aggregation::token_sum ? 1 : std::max(1.0, expected.value.metrics.tokens);
  const auto check = [&](const char* name, const std::vector<double>& wanted, const Floats& got) {
    for (std::size_t t = 0; t < wanted.size(); ++t) {
      const double error = std::abs(wanted[t] - static_cast<double>(got[t])) * scale;
      ASSERT_LE(error, 1e-5 * (1 + std::abs(wanted[t]) * scale)) << name << " of token " << t;
    }
  };
  check("gradient", expected.gradients, outcome.gradients);
  check("entropy gradient", expected.entropy_gradients, outcome.entropy_gradients);
  const std::vector<double> wanted = numbers(expected.value), got = numbers(outcome.value);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    // A sum over tokens has the roundings of all of them.
    const bool sum = i == 0 || i == 12;
    const double size = sum ? std::max(1.0, expected.value.metrics.tokens / scale * 2e-2) : 1;
    EXPECT_NEAR(wanted[i], got[i], 1e-6 * (size + std::abs(wanted[i]))) << "number " << i;
  }
}

void in_one_order(const LossRule& rule, const Rows& rows, const Parts& parts, const std::string& name) {
  SCOPED_TRACE(name);
  const Copies<float> copies(rows, parts);
  simt::set_order(simt::Order::shuffled);
  const Outcome outcome = on_device(rule, copies.batch, rows.mask.size(), 64);
  simt::set_order(simt::Order::forward);
  expect_same(rule, Expected(rule, copies.batch, rows.mask.size()), outcome);
}

void in_all_orders(const LossRule& rule, const Rows& rows, const Parts& parts, const std::string& name) {
  SCOPED_TRACE(name);
  const Copies<float> copies(rows, parts);
  const Expected expected(rule, copies.batch, rows.mask.size());
  in_every_order([&](int threads) {
    const Outcome outcome = on_device(rule, copies.batch, rows.mask.size(), threads);
    expect_same(rule, expected, outcome);
    Bits bits;
    bits.add(outcome.gradients);
    bits.add(outcome.entropy_gradients);
    bits.add(outcome.value);
    return bits;
  });
}

LossRule rule_of(LossKind kind) {
  LossRule rule;
  rule.kind = kind;
  rule.kl.coefficient = 0.1;
  rule.entropy_coefficient = 0.01;
  rule.covariance = {0.1, -10, 0.4, 0.5};
  if (kind == LossKind::clip) rule.dual_clip = 1.3;
  if (kind == LossKind::dppo_tv || kind == LossKind::dppo_kl) rule.ratio_cap = 1.5;
  return rule;
}

// A row of more than 1,024 tokens is the work of a whole block.
TEST(CudaPolicyLoss, EveryKindInEveryOrderOfTheLanes) {
  Rows rows(1, 16, 60, true);
  const Rows one(12, 1, 3000, true);
  ASSERT_GT(one.mask.size(), 1024U);
  for (const LossKind kind : kinds) {
    LossRule rule = rule_of(kind);
    in_all_orders(rule, rows, {}, name_of(rule, "short rows"));
    if (kind == LossKind::vespo || kind == LossKind::gmpo)
      in_one_order(rule, one, {}, name_of(rule, "one long row"));
  }
  for (const Ratio ratio : {Ratio::token, Ratio::sequence}) {
    LossRule rule;
    rule.ratio = ratio;
    in_all_orders(rule, one, {}, name_of(rule, "one long row"));
  }
}

TEST(CudaPolicyLoss, EveryAggregation) {
  const Rows rows(2, 14, 60, true);
  for (const LossKind kind : kinds) {
    for (const Aggregation aggregation : aggregations) {
      LossRule rule = rule_of(kind);
      aggregate_by(rule, aggregation);
      for (const bool per_token : {false, true}) {
        Parts parts;
        parts.per_token = per_token;
        in_one_order(rule, rows, parts, name_of(rule, name_of(aggregation)));
      }
    }
  }
}

TEST(CudaPolicyLoss, RatiosOfRows) {
  const Rows rows(3, 20, 100, true);
  for (LossRule rule : row_ratio_rules(rule_of)) {
    rule.kl.ratio_weighted = rule.kind != LossKind::sapo;
    in_one_order(rule, rows, {}, name_of(rule, ""));
  }
}

TEST(CudaPolicyLoss, OptionsOneByOne) {
  const Rows rows(4, 14, 60, true);
  for (const LossKind kind : kinds) {
    for (std::size_t option = 0; option < options.size(); ++option) {
      LossRule rule = rule_of(kind);
      options[option](rule);
      in_one_order(rule, rows, {}, name_of(rule, "option " + std::to_string(option)));
    }
  }
}

TEST(CudaPolicyLoss, OptionalArraysMayBeAbsent) {
  for (const bool masked : {false, true}) {
    const Rows rows(5, 30, 200, masked);
    for (const LossKind kind : kinds) {
      LossRule rule = rule_of(kind);
      rule.off_policy_threshold = 0.02;
      Parts none{false, false, false, false, false, masked};
      in_one_order(rule, rows, none, name_of(rule, "nothing more"));
      none.per_token = true;
      in_one_order(rule, rows, none, name_of(rule, "nothing more, per token"));
    }
  }
}

TEST(CudaPolicyLoss, ChoosesTheSameTokensInEveryOrder) {
  const Rows rows(6, 60, 700, true);
  LossRule rule = rule_of(LossKind::kl_cov);
  rule.top_entropy_quantile = 0.3;
  rule.entropy_token_mean = true;
  rule.keep_ratio_low = 0.8;
  in_all_orders(rule, rows, {}, "one by one");
  rule.covariance.share = 1;
  in_one_order(rule, rows, {}, "all tokens");
  rule.covariance.share = 0;
  in_one_order(rule, rows, {}, "at least one token");
}

// Of equal covariances the lowest tokens, and equal entropies at the threshold all count.
TEST(CudaPolicyLoss, TiesAreBrokenAsTheReferenceDoes) {
  Rows rows(7, 60, 700, true);
  for (std::size_t t = 0; t < rows.mask.size(); ++t) {
    if (rows.mask[t] == 0) continue;
    rows.log_probs[t] = t % 3 == 0 ? -0.5F : -1.5F;
    rows.old_log_probs[t] = -1;
    rows.entropies[t] = t % 5 == 0 ? 0.0F : t % 5 == 1 ? -0.0F : 0.25F;
  }
  for (float& advantage : rows.advantages) advantage = advantage > 0 ? 1 : -1;
  for (const double share : {0.01, 0.1, 0.4}) {
    LossRule rule = rule_of(LossKind::kl_cov);
    rule.covariance.share = share;
    rule.top_entropy_quantile = 1 - share;
    in_one_order(rule, rows, {}, "share " + std::to_string(share));
  }
}

TEST(CudaPolicyLoss, PartsOfAnOptimizerBatchAndNothingCounted) {
  Rows rows(8, 20, 60, true);
  LossRule rule = rule_of(LossKind::clip);
  Copies<float> copies(rows, {});
  copies.batch.batch_tokens = 1000;
  copies.batch.batch_sequences = 50;
  for (const auto kind : {Aggregation::token_mean, Aggregation::sequence_mean_token_mean}) {
    rule.aggregation.kind = kind;
    expect_same(rule, Expected(rule, copies.batch, rows.mask.size()),
                on_device(rule, copies.batch, rows.mask.size(), 128));
  }
  rows.mask.assign(rows.mask.size(), 0);
  for (const LossKind kind : kinds) in_one_order(rule_of(kind), rows, {}, name_of(rule_of(kind), "silent"));
  const Rows none(9, 0, 1, true);
  for (const LossKind kind : kinds) in_one_order(rule_of(kind), none, {}, name_of(rule_of(kind), "no rows"));
}

TEST(CudaPolicyLoss, ADrawThatIsNotGivenHasNoKernel) {
  Launch launch;
  launch.measure = true;
  LossRule rule;
  rule.kind = LossKind::clip_cov;
  EXPECT_EQ(adjudge_cuda_kernels()->policy_loss(rule, {}, 1, nullptr, nullptr, nullptr, nullptr, launch),
            rule_not_computed);
}

}  // namespace
}  // namespace adjudge::cuda::testing
