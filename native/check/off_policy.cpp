// Importance weights, rejection, mismatch and vespo's weights against the f64 reference. The kernels decide
// in f64 as it does, so no decision is excepted.
#include "check/data.h"
#include "check/report.h"
#include "device/rl.h"
#include "reference/off_policy.h"

namespace adjudge::check {
namespace {

using device::Choice;

struct Rollout {
  std::vector<std::int32_t> rows;
  Numbers log_probs, rollout, advantages;
  std::vector<std::uint8_t> mask;

  template <typename Float>
  rl::RolloutBatch<Float> batch() const {
    return {log_probs.get<Float>(), rollout.get<Float>(), advantages.get<Float>(), mask.data(), rows.data(),
            rows.size() - 1};
  }
};

Rollout rollout_of(const Report& report) {
  Random random(report.options().seed + 6);
  const std::size_t count = report.options().tokens;
  Rollout data;
  data.rows = ragged(random, count, 1500);
  data.log_probs = numbers(random, count, -4, -0.05);
  data.rollout = near(random, data.log_probs, 0.04);
  data.advantages = numbers(random, data.rows.size() - 1, -2, 2);
  data.mask = mask(random, count, 0.9);
  spoil(data.log_probs, data.mask);
  spoil(data.rollout, data.mask);
  return data;
}

void compare_weights(Report& report, const Rollout& data, const std::string& name,
                     const rl::WeightRule& rule) {
  report.compare("importance_weights", name, [&](Comparison& comparison) {
    const std::size_t count = data.mask.size(), rows = data.rows.size() - 1;
    std::vector<float> weights(count), sequences(rows);
    std::vector<double> expected(count), expected_sequences(rows);
    const auto metrics =
        device::importance_weights(Choice::cuda, rule, data.batch<float>(), weights.data(), sequences.data());
    const auto reference =
        reference::importance_weights(rule, data.batch<double>(), expected.data(), expected_sequences.data());
    comparison.add("weights", weights, expected);
    if (rule.level == rl::WeightLevel::sequence) comparison.add("sequences", sequences, expected_sequences);
    comparison.add("mean", metrics.mean, reference.mean);
    comparison.add("maximum", metrics.maximum, reference.maximum);
    comparison.add("deviation", metrics.deviation, reference.deviation);
    comparison.add("outside", metrics.outside, reference.outside);
    comparison.add("effective_sample_size", metrics.effective_sample_size, reference.effective_sample_size);
    comparison.add("sequence_mean", metrics.sequence_mean, reference.sequence_mean);
    comparison.add("normalizer", metrics.normalizer, reference.normalizer);
  });
}

void compare_rejection(Report& report, const Rollout& data, const std::string& name,
                       const rl::RejectionRule& rule) {
  report.compare("rejection", name, [&](Comparison& comparison) {
    const std::size_t count = data.mask.size(), rows = data.rows.size() - 1, criteria = rule.criteria.size();
    std::vector<std::uint8_t> mask(count), keep(rows), expected(count), expected_keep(rows);
    std::vector<rl::CriterionMetrics> metrics(criteria), reference(criteria);
    const auto shares = device::rejection_mask(Choice::cuda, rule, data.batch<float>(), mask.data(),
                                               keep.data(), metrics.data());
    const auto expected_shares = rl::rejection_mask(rule, data.batch<double>(), expected.data(),
                                                    expected_keep.data(), reference.data());
    comparison.add("mask", mask, expected);
    comparison.add("keep", keep, expected_keep);
    comparison.add("masked", shares.masked, expected_shares.masked);
    for (std::size_t i = 0; i < criteria; ++i) {
      comparison.add("mean", metrics[i].mean, reference[i].mean);
      comparison.add("maximum", metrics[i].maximum, reference[i].maximum);
      comparison.add("deviation", metrics[i].deviation, reference[i].deviation);
      comparison.add("sequence_mean", metrics[i].sequence_mean, reference[i].sequence_mean);
      comparison.add("masked_fraction", metrics[i].masked_fraction, reference[i].masked_fraction);
    }
  });
}

void compare_mismatch(Report& report, const Rollout& data) {
  report.compare("mismatch_metrics", "all", [&](Comparison& comparison) {
    const auto metrics = device::mismatch_metrics(Choice::cuda, data.batch<float>());
    const auto reference = reference::mismatch_metrics(data.batch<double>());
    comparison.add("training_perplexity", metrics.training_perplexity, reference.training_perplexity);
    comparison.add("rollout_perplexity", metrics.rollout_perplexity, reference.rollout_perplexity);
    comparison.add("kl", metrics.kl, reference.kl);
    comparison.add("k3", metrics.k3, reference.k3);
    comparison.add("log_perplexity_difference_maximum", metrics.log_perplexity_difference_maximum,
                   reference.log_perplexity_difference_maximum);
    comparison.add("perplexity_ratio", metrics.perplexity_ratio, reference.perplexity_ratio);
    comparison.add("chi2_token", metrics.chi2_token, reference.chi2_token);
    comparison.add("chi2_sequence", metrics.chi2_sequence, reference.chi2_sequence);
    comparison.add("difference_mean", metrics.difference_mean, reference.difference_mean);
    comparison.add("difference_maximum", metrics.difference_maximum, reference.difference_maximum);
    comparison.add("missing", metrics.missing, reference.missing);
  });
}

void compare_gamma_weights(Report& report, const Rollout& data) {
  report.compare("gamma_weights", "vespo", [&](Comparison& comparison) {
    const auto batch = [&](auto zero) {
      using Float = decltype(zero);
      return rl::GammaBatch<Float>{data.log_probs.get<Float>(),  data.rollout.get<Float>(), nullptr,
                                   data.advantages.get<Float>(), data.mask.data(),          data.rows.data(),
                                   data.rows.size() - 1};
    };
    std::vector<float> weights(data.rows.size() - 1);
    std::vector<double> expected(weights.size());
    device::gamma_weights(Choice::cuda, {}, batch(0.0F), weights.data());
    reference::gamma_weights({}, batch(0.0), expected.data());
    comparison.add("weights", weights, expected);
  });
}

}  // namespace

void check_off_policy(Report& report) {
  using namespace rl;
  const Rollout data = rollout_of(report);
  WeightRule rule;
  rule.high = 1.02;
  compare_weights(report, data, "token, clipped", rule);
  rule = {WeightLevel::token, WeightGate::weight, OutsideBand::zero, 0.99, 1.01, 20, true, 1e-8};
  compare_weights(report, data, "token, masked, normalised", rule);
  rule.gate = WeightGate::geometric_mean;
  compare_weights(report, data, "geometric mean", rule);
  rule.level = WeightLevel::sequence;
  rule.gate = WeightGate::weight;
  rule.low = 0.5;
  rule.high = 2;
  compare_weights(report, data, "sequence, masked", rule);
  rule.gate = WeightGate::binary_kl_mean;
  rule.low = 0;
  rule.high = 1e-4;
  compare_weights(report, data, "binary KL of rows", rule);

  const auto only = [](RejectionStatistic statistic, RejectionLevel level, double low, double high,
                       bool negative = false) {
    return RejectionRule{{{statistic, level, low, high, negative}}, 20, 1e-8};
  };
  const double none = -std::numeric_limits<double>::infinity();
  compare_rejection(report, data, "ratio",
                    only(RejectionStatistic::ratio, RejectionLevel::token, 0.98, 1.03));
  compare_rejection(report, data, "k3 of rows",
                    only(RejectionStatistic::k3, RejectionLevel::sequence_mean, none, 2.7e-4));
  compare_rejection(report, data, "off-policy sequence masking",
                    only(RejectionStatistic::k1, RejectionLevel::sequence_mean, none, 1e-4, true));
  compare_rejection(report, data, "total variation, maximum",
                    only(RejectionStatistic::total_variation, RejectionLevel::sequence_max, none, 0.03));
  compare_rejection(report, data, "binary KL",
                    only(RejectionStatistic::binary_kl, RejectionLevel::token, none, 1e-4));
  compare_mismatch(report, data);
  compare_gamma_weights(report, data);
}

}  // namespace adjudge::check
