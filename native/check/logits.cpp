// Statistics and gradients of rows of logits against the f64 reference.
#include <cmath>

#include "check/data.h"
#include "check/report.h"
#include "device/rl.h"

namespace adjudge::check {
namespace {

using device::Choice;

struct Lines {
  std::size_t rows, width;
  double temperature;
  Numbers logits, policy, exploration;
  std::vector<std::int32_t> tokens;

  template <typename Float>
  rl::LogitsBatch<Float> batch() const {
    return {logits.get<Float>(), tokens.data(), rows, width, temperature};
  }
};

Lines lines_of(Report& report, std::size_t width) {
  Random random(report.options().seed + 5);
  Lines data{std::max<std::size_t>(3, report.options().tokens / width), width, 0.9, {}, {}, {}, {}};
  data.logits = numbers(random, data.rows * width, -9, 9);
  data.policy = numbers(random, data.rows, -2, 2);
  data.exploration = numbers(random, data.rows, -0.5, 0.5);
  for (std::size_t row = 0; row < data.rows; ++row) {
    data.tokens.push_back(static_cast<std::int32_t>(random.below(width)));
    const std::size_t masked = random.below(width);
    if (masked != static_cast<std::size_t>(data.tokens[row]))
      data.logits.set(row * width + masked, -INFINITY);
  }
  return data;
}

template <typename Float>
struct Measures {
  std::vector<Float> log_probs, entropies, log_sum_exp, sum_pi_squared, top_log_probs;
  std::vector<std::int32_t> top_tokens;

  rl::LogitsStatistics<Float> wanted(std::size_t rows, std::size_t top_k) {
    for (auto* one : {&log_probs, &entropies, &log_sum_exp, &sum_pi_squared}) one->resize(rows);
    top_log_probs.resize(rows * top_k);
    top_tokens.resize(rows * top_k);
    return {log_probs.data(),  entropies.data(),    log_sum_exp.data(), sum_pi_squared.data(), top_k,
            top_tokens.data(), top_log_probs.data()};
  }
};

}  // namespace

void check_logits(Report& report) {
  for (const std::size_t width : {std::size_t{61}, std::size_t{1003}, std::size_t{49155}}) {
    const Lines data = lines_of(report, width);
    const std::string shape = std::to_string(data.rows) + " x " + std::to_string(width);
    report.compare("logits_statistics", shape, [&](Comparison& comparison) {
      Measures<float> got;
      Measures<double> expected;
      device::logits_statistics(Choice::cuda, data.batch<float>(), got.wanted(data.rows, 20));
      rl::logits_statistics(data.batch<double>(), expected.wanted(data.rows, 20));
      comparison.add("log_probs", got.log_probs, expected.log_probs);
      comparison.add("entropies", got.entropies, expected.entropies);
      comparison.add("log_sum_exp", got.log_sum_exp, expected.log_sum_exp);
      comparison.add("sum_pi_squared", got.sum_pi_squared, expected.sum_pi_squared);
      comparison.add("top_tokens", got.top_tokens, expected.top_tokens);
      comparison.add("top_log_probs", got.top_log_probs, expected.top_log_probs);
    });
    report.compare("logits_gradient", shape, [&](Comparison& comparison) {
      std::vector<float> gradients(data.rows * width);
      std::vector<double> expected(data.rows * width);
      device::logits_gradient(Choice::cuda, data.batch<float>(),
                              {data.policy.get<float>(), data.exploration.get<float>()}, gradients.data());
      rl::logits_gradient(data.batch<double>(), {data.policy.get<double>(), data.exploration.get<double>()},
                          expected.data());
      comparison.add("gradients", gradients, expected);
    });
  }
}

}  // namespace adjudge::check
