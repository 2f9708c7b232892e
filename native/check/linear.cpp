// The fused linear head against the f64 reference.
#include "check/data.h"
#include "check/report.h"
#include "core/error.h"
#include "core/half.h"
#include "device/session.h"
#include "reference/linear.h"

namespace adjudge::check {
namespace {

struct Head {
  std::size_t rows, width, vocabulary;
  Numbers hidden, weights, policy, exploration;
  std::vector<std::uint16_t> half_hidden, half_weights;
  std::vector<std::int32_t> tokens;

  reference::LinearBatch reference() const {
    return {hidden.get<double>(), weights.get<double>(), tokens.data(), rows, width, vocabulary, 0.9};
  }
};

// Both element types hold the same numbers.
std::vector<std::uint16_t> halved(Numbers& values) {
  std::vector<std::uint16_t> result(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    result[i] = f32_to_bf16(values.single[i]);
    values.set(i, bf16_to_f32(result[i]));
  }
  return result;
}

Head head_of(Report& report, std::size_t rows, std::size_t width, std::size_t vocabulary) {
  Random random(report.options().seed + 6);
  Head head{rows, width, vocabulary, {}, {}, {}, {}, {}, {}, {}};
  head.hidden = numbers(random, rows * width, -1, 1);
  head.weights = numbers(random, vocabulary * width, -0.3, 0.3);
  head.policy = numbers(random, rows, -2, 2);
  head.exploration = numbers(random, rows, -0.5, 0.5);
  for (std::size_t row = 0; row < rows; ++row) {
    head.tokens.push_back(static_cast<std::int32_t>(random.below(vocabulary)));
    if (row % 4 == 1) head.policy.set(row, 0), head.exploration.set(row, 0);
  }
  head.half_hidden = halved(head.hidden);
  head.half_weights = halved(head.weights);
  return head;
}

template <typename Kernel, typename Call>
void launch(device::Session& session, const char* name, Kernel* kernel, Call&& call) {
  if (!kernel || !session.launch(name, [&](cuda::Launch& to) { return call(*kernel, to); }))
    throw Error("DEVICE_UNSUPPORTED", std::string(name) + " has no kernel");
}

void compare_head(Report& report, const Head& head, cuda::Element element) {
  const bool single = element == cuda::Element::float32;
  const std::string shape = std::to_string(head.rows) + " x " + std::to_string(head.width) + " to " +
                            std::to_string(head.vocabulary) + (single ? ", float32" : ", bfloat16");
  report.compare("linear", shape, [&](Comparison& comparison) {
    const std::size_t rows = head.rows;
    std::vector<float> log_probs(rows), entropies(rows), hidden(rows * head.width),
        weights(head.vocabulary * head.width);
    std::vector<double> wide_log_probs(rows), wide_entropies(rows), wide_hidden(hidden.size()),
        wide_weights(weights.size());
    cuda::Fault fault, gradient_fault;
    {
      device::Session session(device::cuda());
      cuda::LinearRows linear;
      linear.element = element;
      if (single) {
        linear.hidden = session.in(head.hidden.get<float>(), head.hidden.size());
        linear.weights = session.in(head.weights.get<float>(), head.weights.size());
      } else {
        linear.hidden = session.in(head.half_hidden.data(), head.half_hidden.size());
        linear.weights = session.in(head.half_weights.data(), head.half_weights.size());
      }
      linear.rows = static_cast<std::int64_t>(rows);
      linear.width = static_cast<std::int64_t>(head.width);
      linear.vocabulary = static_cast<std::int64_t>(head.vocabulary);
      linear.chunk_rows = static_cast<std::int64_t>(rows / 2 + 1);
      linear.temperature = 0.9;
      linear.tokens = session.in(head.tokens.data(), rows);
      rl::LogitsStatistics<float> statistics;
      statistics.log_probs = session.out(log_probs.data(), rows);
      statistics.entropies = session.out(entropies.data(), rows);
      auto* const fault_there = session.out(&fault, 1);
      launch(session, "linear_statistics", session.kernels().linear_statistics,
             [&](auto& kernel, cuda::Launch& to) { return kernel(linear, statistics, fault_there, to); });
      cuda::LinearGradient gradient;
      gradient.coefficients = {session.in(head.policy.get<float>(), rows),
                               session.in(head.exploration.get<float>(), rows)};
      gradient.hidden_gradients = session.out(hidden.data(), hidden.size());
      gradient.weight_gradients = session.in_out(weights.data(), weights.size());
      auto* const gradient_fault_there = session.out(&gradient_fault, 1);
      launch(
          session, "linear_gradient", session.kernels().linear_gradient,
          [&](auto& kernel, cuda::Launch& to) { return kernel(linear, gradient, gradient_fault_there, to); });
      session.finish();
    }
    rl::LogitsStatistics<double> wanted;
    wanted.log_probs = wide_log_probs.data();
    wanted.entropies = wide_entropies.data();
    reference::linear_statistics(head.reference(), wanted);
    reference::linear_gradient(head.reference(), {head.policy.get<double>(), head.exploration.get<double>()},
                               wide_hidden.data(), wide_weights.data());
    comparison.add("log_probs", log_probs, wide_log_probs);
    comparison.add("entropies", entropies, wide_entropies);
    comparison.add("hidden_gradients", hidden, wide_hidden);
    comparison.add("weight_gradients", weights, wide_weights);
    comparison.add("fault", static_cast<double>(fault.kind), 0);
    comparison.add("fault of the gradient", static_cast<double>(gradient_fault.kind), 0);
  });
}

}  // namespace

void check_linear(Report& report) {
  const bool quick = report.options().quick;
  const Head small = head_of(report, 9, 33, 70);
  const Head large = quick ? head_of(report, 20, 64, 300) : head_of(report, 301, 576, 4099);
  for (const auto element : {cuda::Element::float32, cuda::Element::bfloat16}) {
    compare_head(report, small, element);
    compare_head(report, large, element);
  }
}

}  // namespace adjudge::check
