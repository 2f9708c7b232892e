// Policy loss, value loss and KL against the f64 reference.
#include <cmath>

#include "check/data.h"
#include "check/report.h"
#include "device/rl.h"

namespace adjudge::check {
namespace {

using device::Choice;

struct Tokens {
  std::vector<std::int32_t> rows;
  Numbers log_probs, old_log_probs, reference, entropies, importance, advantages;
  std::vector<std::uint8_t> mask;

  template <typename Float>
  rl::LossBatch<Float> batch(const rl::LossRule& rule) const {
    rl::LossBatch<Float> batch;
    batch.log_probs = log_probs.get<Float>();
    batch.old_log_probs = old_log_probs.get<Float>();
    if (rule.kl.coefficient != 0) batch.reference_log_probs = reference.get<Float>();
    if (rule.entropy_coefficient != 0) batch.entropies = entropies.get<Float>();
    batch.importance_weights = importance.get<Float>();
    batch.advantages = advantages.get<Float>();
    batch.mask = mask.data();
    batch.cu_seqlens = rows.data();
    batch.rows = rows.size() - 1;
    return batch;
  }
};

Tokens tokens_of(const Report& report) {
  Random random(report.options().seed + 2);
  const std::size_t count = report.options().tokens;
  Tokens data;
  data.rows = ragged(random, count, 1500);
  data.log_probs = numbers(random, count, -4, -0.01);
  data.old_log_probs = near(random, data.log_probs, 0.4);
  data.reference = near(random, data.log_probs, 0.6);
  data.entropies = numbers(random, count, 0, 3);
  data.importance = numbers(random, count, 0.5, 1.5);
  data.advantages = numbers(random, data.rows.size() - 1, -2, 2);
  data.mask = mask(random, count, 0.9);
  spoil(data.log_probs, data.mask);
  spoil(data.old_log_probs, data.mask);
  spoil(data.reference, data.mask);
  spoil(data.entropies, data.mask);
  return data;
}

// A ratio so close to a bound that float32 may fall on its other side.
bool at_bound(const rl::LossRule& rule, const Tokens& data, std::size_t token) {
  if (rule.ratio != rl::Ratio::token) return false;
  const double ratio = std::exp(data.log_probs.dual[token] - data.old_log_probs.dual[token]);
  for (const double bound : {1 - rule.clip_low, 1 + rule.clip_high, rule.dual_clip, rule.ratio_cap, 1.0}) {
    if (std::abs(ratio - bound) < 3e-6 * (1 + bound)) return true;
  }
  return false;
}

void compare_loss(Report& report, const Tokens& data, const std::string& name, const rl::LossRule& rule) {
  report.compare("policy_loss", name, [&](Comparison& comparison) {
    const std::size_t count = data.mask.size();
    const auto single = data.batch<float>(rule);
    const auto dual = data.batch<double>(rule);
    std::vector<float> gradients(count), entropy_gradients(single.entropies ? count : 0);
    std::vector<double> expected(count), expected_entropy(dual.entropies ? count : 0);
    const auto value = device::policy_loss(Choice::cuda, rule, single, gradients.data(),
                                           single.entropies ? entropy_gradients.data() : nullptr);
    const auto reference =
        rl::policy_loss(rule, dual, expected.data(), dual.entropies ? expected_entropy.data() : nullptr);
    comparison.excepted = [&](std::size_t token) { return at_bound(rule, data, token); };
    // The gradients of a mean are tiny: relative to the largest weight of a token they are not.
    const double scale =
        rule.aggregation.kind == rl::Aggregation::token_sum
            ? 1
            : static_cast<double>(rule.aggregation.kind == rl::Aggregation::token_mean ? count
                                                                                       : data.rows.size());
    for (float& one : gradients) one = static_cast<float>(one * scale);
    for (double& one : expected) one *= scale;
    comparison.add("log_prob_gradients", gradients, expected);
    comparison.excepted = nullptr;
    comparison.add("entropy_gradients", entropy_gradients, expected_entropy);
    comparison.add("loss", value.loss, reference.loss);
    comparison.add("policy_loss", value.metrics.policy_loss, reference.metrics.policy_loss);
    comparison.add("kl", value.metrics.kl, reference.metrics.kl);
    comparison.add("entropy", value.metrics.entropy, reference.metrics.entropy);
    comparison.add("ratio_mean", value.metrics.ratio_mean, reference.metrics.ratio_mean);
    comparison.add("ratio_max", value.metrics.ratio_max, reference.metrics.ratio_max);
    comparison.add("old_kl", value.metrics.old_kl, reference.metrics.old_kl);
    comparison.add("tokens", value.metrics.tokens, reference.metrics.tokens);
  });
}

}  // namespace

void check_policy_loss(Report& report) {
  using namespace rl;
  const Tokens data = tokens_of(report);
  LossRule rule;
  compare_loss(report, data, "clip", rule);
  rule.dual_clip = 3;
  rule.kl.coefficient = 0.1;
  rule.entropy_coefficient = 0.01;
  rule.aggregation.kind = Aggregation::sequence_mean_token_mean;
  compare_loss(report, data, "dual clip, k3, entropy, mean of means", rule);
  rule = {};
  rule.ratio_cap = 2;
  rule.kl = {KlKind::k2, KlGradient::value, 0.05};
  rule.aggregation = {Aggregation::constant, 1024};
  compare_loss(report, data, "cap, k2, constant", rule);
  rule = {};
  rule.ratio = Ratio::sequence;
  rule.clip_low = 3e-2;
  rule.clip_high = 4e-2;
  rule.aggregation.kind = Aggregation::sequence_mean_token_mean;
  compare_loss(report, data, "gspo", rule);
  rule.ratio_gradient = RatioGradient::own_token;
  compare_loss(report, data, "gspo by token", rule);
  for (const auto& [kind, name] : {std::pair{LossKind::policy_gradient, "policy gradient"},
                                   {LossKind::cispo, "cispo"},
                                   {LossKind::sapo, "sapo"},
                                   {LossKind::vespo, "vespo"},
                                   {LossKind::gmpo, "gmpo"},
                                   {LossKind::dppo_tv, "dppo, total variation"},
                                   {LossKind::dppo_kl, "dppo, KL"},
                                   {LossKind::dro, "dro"}}) {
    rule = {};
    rule.kind = kind;
    if (kind == LossKind::gmpo) rule.aggregation.kind = Aggregation::sequence_mean;
    compare_loss(report, data, name, rule);
  }
  rule = {};
  rule.kind = LossKind::kl_cov;
  rule.covariance.share = 0.02;
  compare_loss(report, data, "kl-cov", rule);
  // Every candidate: a draw depends on the bits of the numbers, and so on their type.
  rule.kind = LossKind::clip_cov;
  rule.covariance = {1, 0.1, 5};
  compare_loss(report, data, "clip-cov", rule);
  rule = {};
  rule.keep_ratio_low = 0.8;
  rule.keep_ratio_high = 1.25;
  rule.top_entropy_quantile = 0.2;
  rule.entropy_coefficient = 0.01;
  rule.entropy_token_mean = true;
  compare_loss(report, data, "kept ratios, top entropy", rule);
}

void check_value_and_kl(Report& report) {
  using namespace rl;
  const std::size_t count = report.options().tokens;
  Random random(report.options().seed + 3);
  const auto rows = ragged(random, count, 1500);
  Numbers values = numbers(random, count, -1, 1);
  const Numbers old_values = near(random, values, 0.5), returns = near(random, values, 1);
  const auto counted = mask(random, count, 0.9);
  spoil(values, counted);
  const auto batch = [&]<typename Float>(Float) {
    ValueBatch<Float> result;
    result.values = values.get<Float>();
    result.old_values = old_values.get<Float>();
    result.returns = returns.get<Float>();
    result.mask = counted.data();
    result.cu_seqlens = rows.data();
    result.rows = rows.size() - 1;
    return result;
  };
  report.compare("value_loss", "clip 0.2", [&](Comparison& comparison) {
    ValueRule rule;
    rule.clip = 0.2;
    rule.aggregation.kind = Aggregation::token_sum;
    std::vector<float> gradients(count);
    std::vector<double> expected(count);
    const auto value = device::value_loss(Choice::cuda, rule, batch(0.0F), gradients.data());
    const auto reference = rl::value_loss(rule, batch(0.0), expected.data());
    comparison.excepted = [&](std::size_t t) {
      return std::abs(std::abs(values.dual[t] - old_values.dual[t]) - rule.clip) < 1e-6;
    };
    comparison.add("gradients", gradients, expected);
    comparison.add("loss", value.loss, reference.loss);
    comparison.add("clip_fraction", value.metrics.clip_fraction, reference.metrics.clip_fraction);
    comparison.add("explained_variance", value.metrics.explained_variance,
                   reference.metrics.explained_variance);
  });

  const std::size_t width = 1003, lines = std::max<std::size_t>(3, count / width / 4);
  const Numbers logits = numbers(random, lines * width, -8, 8), other = near(random, logits, 2);
  for (const auto direction : {KlDirection::reverse, KlDirection::forward}) {
    report.compare(
        "kl_rows", direction == KlDirection::reverse ? "reverse" : "forward", [&](Comparison& comparison) {
          const KlRowsBatch<float> single{logits.get<float>(), other.get<float>(), nullptr, lines, width};
          const KlRowsBatch<double> dual{logits.get<double>(), other.get<double>(), nullptr, lines, width};
          std::vector<float> kl(lines), gradients(lines * width);
          std::vector<double> expected(lines), expected_gradients(lines * width);
          device::kl_rows(Choice::cuda, direction, single, kl.data(), gradients.data());
          rl::kl_rows(direction, dual, expected.data(), expected_gradients.data());
          comparison.add("values", kl, expected);
          comparison.add("gradients", gradients, expected_gradients);
        });
  }

  Numbers log_probs = numbers(random, count, -4, 0);
  const Numbers reference_log_probs = near(random, log_probs, 0.5);
  const Numbers rewards = numbers(random, rows.size() - 1, -1, 1);
  report.compare("kl_tokens", "k3", [&](Comparison& comparison) {
    const KlRule rule;
    const auto batch = [&]<typename Float>(Float) {
      return KlTokensBatch<Float>{log_probs.get<Float>(), reference_log_probs.get<Float>(), nullptr,
                                  counted.data(), count};
    };
    std::vector<float> kl(count), gradients(count);
    std::vector<double> expected(count), expected_gradients(count);
    device::kl_tokens(Choice::cuda, rule, batch(0.0F), kl.data(), gradients.data());
    rl::kl_tokens(rule, batch(0.0), expected.data(), expected_gradients.data());
    comparison.add("values", kl, expected);
    comparison.add("gradients", gradients, expected_gradients);
  });
  report.compare("kl_reward", "k3", [&](Comparison& comparison) {
    KlRewardRule rule;
    rule.kl.coefficient = 0.1;
    const auto batch = [&]<typename Float>(Float) {
      KlRewardBatch<Float> result;
      result.rewards = rewards.get<Float>();
      result.log_probs = log_probs.get<Float>();
      result.reference_log_probs = reference_log_probs.get<Float>();
      result.mask = counted.data();
      result.cu_seqlens = rows.data();
      result.rows = rows.size() - 1;
      return result;
    };
    std::vector<float> results(count);
    std::vector<double> expected(count);
    const auto metrics = device::kl_reward(Choice::cuda, rule, batch(0.0F), results.data());
    const auto reference = rl::kl_reward(rule, batch(0.0), expected.data());
    comparison.add("results", results, expected);
    comparison.add("kl", metrics.kl, reference.kl);
    comparison.add("kl_token", metrics.kl_token, reference.kl_token);
  });
}

}  // namespace adjudge::check
