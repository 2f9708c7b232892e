// Q targets, Q losses and preference losses against the f64 reference.
#include "check/data.h"
#include "check/report.h"
#include "device/rl.h"

namespace adjudge::check {
namespace {

using device::Choice;

constexpr std::size_t actions = 19;

void compare_targets(Report& report, const std::string& name, const rl::QTargetRule& rule) {
  report.compare("q_targets", name, [&](Comparison& comparison) {
    Random random(report.options().seed + 4);
    const std::size_t steps = report.options().tokens / 8;
    const auto rows = ragged(random, steps, 300);
    const Numbers rewards = numbers(random, steps, -1, 1), next = numbers(random, steps * actions, -2, 2);
    const Numbers online = near(random, next, 0.5), values = numbers(random, steps, -2, 2);
    const auto terminated = mask(random, steps, 0.02);
    std::vector<std::int32_t> taken(steps);
    for (std::int32_t& one : taken) one = static_cast<std::int32_t>(random.below(actions));
    const auto batch = [&]<typename Float>(Float) {
      rl::QTargetBatch<Float> result;
      result.steps = steps;
      result.actions = rule.bootstrap == rl::Bootstrap::value ? 0 : actions;
      result.cu_seqlens = rows.data();
      result.trajectories = rows.size() - 1;
      result.rewards = rewards.get<Float>();
      result.terminated = terminated.data();
      result.next_q = next.get<Float>();
      if (rule.bootstrap == rl::Bootstrap::double_q) result.next_online_q = online.get<Float>();
      if (rule.bootstrap == rl::Bootstrap::value) result.next_values = values.get<Float>();
      result.taken = taken.data();
      return result;
    };
    std::vector<float> targets(steps);
    std::vector<double> expected(steps);
    device::q_targets(Choice::cuda, rule, batch(0.0F), targets.data());
    rl::q_targets(rule, batch(0.0), expected.data());
    comparison.add("targets", targets, expected);
  });
}

void compare_q_loss(Report& report, const std::string& name, const rl::QLossRule& rule) {
  report.compare("q_loss", name, [&](Comparison& comparison) {
    Random random(report.options().seed + 5);
    const std::size_t steps = report.options().tokens / 8;
    const Numbers q = numbers(random, steps * actions, -2, 2), targets = numbers(random, steps, -2, 2);
    const Numbers values = numbers(random, steps, -2, 2), target_q = numbers(random, steps, -2, 2);
    const Numbers log_probs = numbers(random, steps, -3, 0), weights = numbers(random, steps, 0.2, 1);
    const auto counted = mask(random, steps, 0.9);
    std::vector<std::int32_t> taken(steps);
    for (std::int32_t& one : taken) one = static_cast<std::int32_t>(random.below(actions));
    const auto run = [&]<typename Float>(Float, auto&& call, std::vector<std::vector<Float>>& out) {
      rl::QLossBatch<Float> batch;
      out = {std::vector<Float>(steps * actions), std::vector<Float>(steps), std::vector<Float>(steps),
             std::vector<Float>(steps)};
      batch.steps = steps;
      batch.actions = actions;
      batch.heads[0].q = q.get<Float>();
      batch.heads[0].q_gradients = out[0].data();
      batch.taken = taken.data();
      batch.targets = targets.get<Float>();
      batch.weights = weights.get<Float>();
      batch.mask = counted.data();
      if (rule.value_coefficient > 0) {
        batch.values = values.get<Float>();
        batch.target_q = target_q.get<Float>();
        batch.value_gradients = out[1].data();
      }
      if (rule.policy_coefficient > 0) {
        batch.log_probs = log_probs.get<Float>();
        batch.log_prob_gradients = out[2].data();
        batch.policy_weights = out[3].data();
      }
      batch.batch_steps = 1;  // a sum, so that the gradients are no tiny numbers
      return call(batch);
    };
    std::vector<std::vector<float>> got;
    std::vector<std::vector<double>> expected;
    const auto value = run(
        0.0F, [&](const auto& batch) { return device::q_loss(Choice::cuda, rule, batch); }, got);
    const auto reference = run(
        0.0, [&](const auto& batch) { return rl::q_loss(rule, batch); }, expected);
    for (std::size_t i = 0; i < got.size(); ++i) {
      comparison.add("gradients " + std::to_string(i), got[i], expected[i]);
    }
    comparison.add("loss", value.loss, reference.loss);
    comparison.add("td", value.td, reference.td);
    comparison.add("conservative", value.conservative, reference.conservative);
    comparison.add("value", value.value, reference.value);
    comparison.add("policy", value.policy, reference.policy);
  });
}

}  // namespace

void check_q(Report& report) {
  using namespace rl;
  QTargetRule targets;
  compare_targets(report, "max", targets);
  targets.bootstrap = Bootstrap::double_q;
  targets.steps = 3;
  compare_targets(report, "double, three steps", targets);
  targets = {};
  targets.bootstrap = Bootstrap::soft;
  targets.temperature = 0.5;
  compare_targets(report, "soft", targets);
  targets = {};
  targets.bootstrap = Bootstrap::value;
  targets.lambda_return = true;
  targets.lambda = 0.9;
  compare_targets(report, "value, lambda", targets);

  QLossRule loss;
  compare_q_loss(report, "squared", loss);
  loss.td = TdKind::huber;
  loss.conservative_coefficient = 0.5;
  compare_q_loss(report, "huber, conservative", loss);
  loss.value_coefficient = 1;
  loss.policy_coefficient = 1;
  loss.weight_limit = 20;
  compare_q_loss(report, "huber, conservative, expectile, weighted policy", loss);
}

void check_preference_loss(Report& report) {
  using Kind = rl::PreferenceKind;
  Random random(report.options().seed + 6);
  const std::size_t tokens = report.options().tokens;
  const auto rows = ragged(random, tokens, 400);
  const std::size_t completions = rows.size() - 1;
  Numbers log_probs = numbers(random, tokens, -2, -0.01);
  Numbers reference_log_probs = near(random, log_probs, 0.3);
  const auto counted = mask(random, tokens, 0.9);
  spoil(log_probs, counted);
  spoil(reference_log_probs, counted);
  std::vector<std::int32_t> chosen, rejected;
  for (std::int32_t i = 0; i + 1 < static_cast<std::int32_t>(completions); i += 2) {
    // Orpo's odds have no meaning for a completion without a token.
    if (rows[i + 1] == rows[i] || rows[i + 2] == rows[i + 1]) continue;
    chosen.push_back(i);
    rejected.push_back(i + 1);
  }
  for (const auto& [kind, name] : {std::pair{Kind::sigmoid, "dpo"},
                                   {Kind::hinge, "hinge"},
                                   {Kind::ipo, "ipo"},
                                   {Kind::robust, "robust"},
                                   {Kind::apo_zero, "apo_zero"},
                                   {Kind::aot, "aot"},
                                   {Kind::aot_unpaired, "aot_unpaired"},
                                   {Kind::orpo, "orpo"}}) {
    report.compare("preference_loss", name, [&](Comparison& comparison) {
      rl::PreferenceRule rule;
      rule.kind = kind;
      if (kind == Kind::robust) rule.label_smoothing = 0.1;
      if (kind == Kind::orpo) rule.length_normalization = rl::LengthNormalization::log_prob;
      const auto batch = [&]<typename Float>(Float) {
        rl::PreferenceBatch<Float> result;
        result.log_probs = log_probs.get<Float>();
        if (kind != Kind::orpo) result.reference_log_probs = reference_log_probs.get<Float>();
        result.cu_seqlens = rows.data();
        result.mask = counted.data();
        result.completions = completions;
        result.chosen = chosen.data();
        result.rejected = rejected.data();
        result.pairs = chosen.size();
        result.batch_size = 1;  // a sum, so that the gradients are no tiny numbers
        return result;
      };
      std::vector<float> gradients(tokens);
      std::vector<double> expected(tokens);
      const auto value = device::preference_loss(Choice::cuda, rule, batch(0.0F), gradients.data());
      const auto reference = rl::preference_loss(rule, batch(0.0), expected.data());
      comparison.add("gradients", gradients, expected);
      comparison.add("loss", value.loss, reference.loss);
      comparison.add("reward_chosen", value.metrics.reward_chosen, reference.metrics.reward_chosen);
      comparison.add("accuracy", value.metrics.accuracy, reference.metrics.accuracy);
    });
  }
}

}  // namespace adjudge::check
