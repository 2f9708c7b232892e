// Advantages, GAE and the off-policy returns against the f64 reference.
#include <utility>

#include "check/data.h"
#include "check/report.h"
#include "device/rl.h"

namespace adjudge::check {
namespace {

using device::Choice;

struct Completions {
  std::vector<std::int32_t> groups, tokens;
  Numbers rewards, values, log_probs, sum_pi_squared, baselines;
  std::vector<std::uint8_t> scored, mask;

  template <typename Float>
  rl::AdvantageBatch<Float> batch(const rl::AdvantageRule& rule, std::size_t functions) const {
    rl::AdvantageBatch<Float> batch;
    batch.rewards = rewards.get<Float>();
    batch.functions = functions;
    batch.scored = scored.data();
    batch.group_offsets = groups.data();
    batch.groups = groups.size() - 1;
    batch.cu_seqlens = tokens.data();
    batch.mask = mask.data();
    if (rule.baseline == rl::Baseline::given) batch.baselines = baselines.get<Float>();
    if (rule.estimator == rl::Estimator::gae) batch.values = values.get<Float>();
    if (rule.baseline == rl::Baseline::optimal_token) {
      batch.log_probs = log_probs.get<Float>();
      batch.sum_pi_squared = sum_pi_squared.get<Float>();
    }
    return batch;
  }
};

Completions completions(Random& random, std::size_t count, std::size_t functions) {
  Completions result;
  result.groups = ragged(random, count, 24);
  for (std::size_t i = 0; i < count; ++i) {
    const std::int32_t length = random.uniform() < 0.03 ? 0 : 1 + static_cast<std::int32_t>(random.below(60));
    result.tokens.push_back(i == 0 ? 0 : result.tokens.back());
    if (i > 0) result.tokens.back() += length;
  }
  result.tokens.push_back(result.tokens.back() + 7);
  const auto tokens = static_cast<std::size_t>(result.tokens.back());
  result.rewards = numbers(random, count * functions, -1, 2);
  // Groups whose members are all alike, in a number that float32 does not hold exactly.
  for (std::size_t g = 0; g + 1 < result.groups.size(); g += 5) {
    for (std::int32_t i = result.groups[g]; i < result.groups[g + 1]; ++i) {
      for (std::size_t f = 0; f < functions; ++f) {
        result.rewards.set(static_cast<std::size_t>(i) * functions + f, 0.1);
      }
    }
  }
  result.scored = mask(random, count, 0.95);
  result.mask = mask(random, tokens, 0.9);
  result.baselines = numbers(random, count, -1, 1);
  result.values = numbers(random, tokens, -1, 1);
  result.log_probs = numbers(random, tokens, -3, -0.01);
  result.sum_pi_squared = numbers(random, tokens, 0.05, 1);
  for (std::size_t i = 0; i < count; ++i) {
    if (!result.scored[i]) result.rewards.set(i * functions, std::numeric_limits<double>::quiet_NaN());
  }
  spoil(result.values, result.mask);
  return result;
}

void compare_advantages(Report& report, const std::string& name, const rl::AdvantageRule& rule,
                        std::size_t functions = 1) {
  report.compare("advantages", name, [&](Comparison& comparison) {
    Random random(report.options().seed);
    const Completions data = completions(random, report.options().tokens / 8, functions);
    const auto single = data.batch<float>(rule, functions);
    const auto dual = data.batch<double>(rule, functions);
    const std::size_t count = rl::advantages_per_token(rule, dual)
                                  ? static_cast<std::size_t>(data.tokens.back())
                                  : data.scored.size();
    const bool critic = rule.estimator == rl::Estimator::gae;
    std::vector<float> got(count), got_returns(critic ? count : 0);
    std::vector<double> expected(count), expected_returns(critic ? count : 0);
    const auto metrics = device::compute_advantages(Choice::cuda, rule, single, got.data(),
                                                    critic ? got_returns.data() : nullptr);
    const auto reference =
        rl::compute_advantages(rule, dual, expected.data(), critic ? expected_returns.data() : nullptr);
    comparison.add("advantages", got, expected);
    comparison.add("returns", got_returns, expected_returns);
    comparison.add("reward", metrics.reward, reference.reward);
    comparison.add("reward_std", metrics.reward_std, reference.reward_std);
    comparison.add("dead_groups", static_cast<double>(metrics.dead_groups),
                   static_cast<double>(reference.dead_groups));
    comparison.add("unscored", static_cast<double>(metrics.unscored),
                   static_cast<double>(reference.unscored));
  });
}

struct Sequences {
  std::vector<std::int32_t> rows;
  Numbers rewards, values, action_values, log_ratios, bootstrap;
  std::vector<std::uint8_t> mask;
};

Sequences sequences(const Report& report) {
  Random random(report.options().seed + 1);
  const std::size_t tokens = report.options().tokens;
  Sequences data;
  data.rows = ragged(random, tokens, 3000);
  data.rewards = numbers(random, tokens, -1, 1);
  data.values = numbers(random, tokens, -1, 1);
  data.action_values = numbers(random, tokens, -1, 1);
  data.log_ratios = numbers(random, tokens, -0.7, 0.7);
  data.bootstrap = numbers(random, data.rows.size() - 1, -1, 1);
  data.mask = mask(random, tokens, 0.9);
  spoil(data.rewards, data.mask);
  spoil(data.values, data.mask);
  spoil(data.action_values, data.mask);
  spoil(data.log_ratios, data.mask);
  return data;
}

template <typename Float>
rl::GaeBatch<Float> gae_batch(const Sequences& data) {
  return {data.rewards.get<Float>(), data.values.get<Float>(), data.rows.data(),
          data.rows.size() - 1,      data.mask.data(),         data.bootstrap.get<Float>()};
}

template <typename Float>
rl::ReturnsBatch<Float> returns_batch(const Sequences& data) {
  return {data.rewards.get<Float>(),
          data.values.get<Float>(),
          data.action_values.get<Float>(),
          data.log_ratios.get<Float>(),
          data.rows.data(),
          data.rows.size() - 1,
          data.mask.data(),
          data.bootstrap.get<Float>()};
}

}  // namespace

void check_advantages(Report& report) {
  using namespace rl;
  AdvantageRule rule;
  compare_advantages(report, "group, standard deviation", rule);
  compare_advantages(report, "two functions, summed", rule, 2);
  rule.multi_objective = MultiObjective::normalize_then_sum;
  compare_advantages(report, "two functions, each normalised", rule, 2);
  rule = {};
  rule.baseline = Baseline::leave_one_out;
  rule.scale = Scale::none;
  compare_advantages(report, "leave one out", rule);
  rule.baseline = Baseline::batch;
  rule.scale = Scale::batch;
  compare_advantages(report, "batch", rule);
  rule.baseline = Baseline::length_weighted;
  compare_advantages(report, "length weighted", rule);
  rule.baseline = Baseline::second_best;
  rule.scale = Scale::none;
  compare_advantages(report, "second best", rule);
  rule.baseline = Baseline::given;
  compare_advantages(report, "given", rule);
  rule.baseline = Baseline::optimal_token;
  compare_advantages(report, "optimal token", rule);
  rule = {};
  rule.baseline = Baseline::none;
  rule.scale = Scale::none;
  rule.gamma = 0.99;
  rule.whitening.enabled = true;
  compare_advantages(report, "discounted, whitened", rule);
  rule = {};
  rule.estimator = Estimator::gae;
  rule.gamma = 0.99;
  rule.lambda = 0.95;
  rule.baseline = Baseline::none;
  rule.scale = Scale::none;
  compare_advantages(report, "gae", rule);
}

void check_returns(Report& report) {
  const Sequences data = sequences(report);
  const std::size_t tokens = report.options().tokens;
  for (const auto& [name, rule] : {std::pair{"masked skipped", rl::GaeRule{0.99, 0.95, true}},
                                   {"masked through", rl::GaeRule{0.99, 0.95, false}},
                                   {"long horizon", rl::GaeRule{0.9999, 1, true}}}) {
    report.compare("gae", name, [&, rule = rule](Comparison& comparison) {
      std::vector<float> advantages(tokens), returns(tokens);
      std::vector<double> expected(tokens), expected_returns(tokens);
      device::gae(Choice::cuda, rule, gae_batch<float>(data), advantages.data(), returns.data());
      rl::gae(rule, gae_batch<double>(data), expected.data(), expected_returns.data());
      comparison.add("advantages", advantages, expected);
      comparison.add("returns", returns, expected_returns);
    });
  }
  report.compare("vtrace", "clip 1", [&](Comparison& comparison) {
    const rl::VtraceRule rule{0.99, 0.95, 1, 1, 1};
    std::vector<float> targets(tokens), advantages(tokens);
    std::vector<double> expected(tokens), expected_advantages(tokens);
    device::vtrace(Choice::cuda, rule, returns_batch<float>(data), targets.data(), advantages.data());
    rl::vtrace(rule, returns_batch<double>(data), expected.data(), expected_advantages.data());
    comparison.add("targets", targets, expected);
    comparison.add("advantages", advantages, expected_advantages);
  });
  report.compare("retrace", "clip 1", [&](Comparison& comparison) {
    const rl::RetraceRule rule{0.99, 0.95, 1};
    std::vector<float> targets(tokens);
    std::vector<double> expected(tokens);
    device::retrace(Choice::cuda, rule, returns_batch<float>(data), targets.data());
    rl::retrace(rule, returns_batch<double>(data), expected.data());
    comparison.add("targets", targets, expected);
  });
  report.compare("upgo", "clip 1", [&](Comparison& comparison) {
    const rl::UpgoRule rule{0.99, 1};
    std::vector<float> returns(tokens), advantages(tokens);
    std::vector<double> expected(tokens), expected_advantages(tokens);
    device::upgo(Choice::cuda, rule, returns_batch<float>(data), returns.data(), advantages.data());
    rl::upgo(rule, returns_batch<double>(data), expected.data(), expected_advantages.data());
    comparison.add("returns", returns, expected);
    comparison.add("advantages", advantages, expected_advantages);
  });
}

}  // namespace adjudge::check
