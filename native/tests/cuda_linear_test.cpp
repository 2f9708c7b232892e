// The fused linear head over the SIMT shim: statistics and gradients against the f64 reference on the same
// rounded inputs, and a policy loss through it, whose gradients are those of central differences.
#include "reference/linear.h"

#include <string>

#include "reference/policy_loss.h"
#include "rules/policy_loss.h"
#include "tests/cuda_launch.h"

namespace adjudge::cuda::testing {
namespace {

// Numbers that bfloat16 holds.
std::vector<float> coarse(std::vector<float> values) {
  for (float& value : values) value = bf16_to_f32(f32_to_bf16(value));
  return values;
}

struct Head {
  std::size_t rows, width, vocabulary;
  std::int64_t chunk_rows;
  std::vector<float> hidden, weights, policy, exploration;
  std::vector<std::int32_t> tokens;
  std::vector<std::uint16_t> half_hidden, half_weights;
  std::vector<double> wide_hidden, wide_weights, wide_policy, wide_exploration;

  Head(std::size_t row_count, std::size_t inputs, std::size_t outputs, std::int64_t chunk)
      : rows(row_count), width(inputs), vocabulary(outputs), chunk_rows(chunk) {
    Ragged random({}, 3);
    hidden = coarse(random.normal(rows * width));
    weights = coarse(random.normal(vocabulary * width, 1.5 / std::sqrt(static_cast<double>(width))));
    policy = random.normal(rows);
    exploration = random.normal(rows, 0.3);
    for (std::size_t i = 0; i < rows; ++i) {
      tokens.push_back(static_cast<std::int32_t>(random.random() % vocabulary));
      if (i % 3 == 1) policy[i] = exploration[i] = 0;
    }
    half_hidden = halved(hidden);
    half_weights = halved(weights);
    wide_hidden = widened(hidden);
    wide_weights = widened(weights);
    wide_policy = widened(policy);
    wide_exploration = widened(exploration);
  }

  reference::LinearBatch reference() const {
    return {wide_hidden.data(), wide_weights.data(), tokens.data(), rows, width, vocabulary, 0.9};
  }
  LinearRows device(Element element) const {
    LinearRows linear;
    linear.hidden =
        element == Element::float32 ? static_cast<const void*>(hidden.data()) : half_hidden.data();
    linear.weights =
        element == Element::float32 ? static_cast<const void*>(weights.data()) : half_weights.data();
    linear.element = element;
    linear.rows = static_cast<std::int64_t>(rows);
    linear.width = static_cast<std::int64_t>(width);
    linear.vocabulary = static_cast<std::int64_t>(vocabulary);
    linear.chunk_rows = chunk_rows;
    linear.temperature = 0.9;
    linear.tokens = tokens.data();
    return linear;
  }
};

struct Statistics {
  std::vector<float> log_probs, entropies, log_sum_exp;
  Fault fault;

  Statistics(const LinearRows& linear, int threads) {
    for (auto* values : {&log_probs, &entropies, &log_sum_exp})
      values->assign(static_cast<std::size_t>(linear.rows), -7);
    rl::LogitsStatistics<float> wanted;
    wanted.log_probs = log_probs.data();
    wanted.entropies = entropies.data();
    wanted.log_sum_exp = log_sum_exp.data();
    enqueue(threads, [&](Launch& launch) {
      return adjudge_cuda_kernels()->linear_statistics(linear, wanted, &fault, launch);
    });
  }
};

void compare(const Head& head, const std::vector<bool>& forms = {false, true}) {
  SCOPED_TRACE(std::to_string(head.rows) + " rows, " + std::to_string(head.width) + " to " +
               std::to_string(head.vocabulary));
  std::vector<double> log_probs(head.rows), entropies(head.rows), log_sum_exp(head.rows);
  rl::LogitsStatistics<double> wanted;
  wanted.log_probs = log_probs.data();
  wanted.entropies = entropies.data();
  wanted.log_sum_exp = log_sum_exp.data();
  reference::linear_statistics(head.reference(), wanted);
  const std::vector<float> before = Ragged({}, 9).normal(head.vocabulary * head.width);
  std::vector<double> hidden_gradients(head.rows * head.width), weight_gradients = widened(before);
  reference::linear_gradient(head.reference(), {head.wide_policy.data(), head.wide_exploration.data()},
                             hidden_gradients.data(), weight_gradients.data());
  for (const Element element : {Element::float32, Element::bfloat16}) {
    for (const bool known : forms) {
      in_every_order([&](int threads) {
        const Statistics statistics(head.device(element), threads);
        EXPECT_EQ(statistics.fault.kind, FaultKind::none);
        expect_close(statistics.log_probs, log_probs);
        expect_close(statistics.entropies, entropies);
        expect_close(statistics.log_sum_exp, log_sum_exp);
        std::vector<float> hidden(head.rows * head.width, -7), weights = before;
        LinearGradient gradient;
        gradient.coefficients = {head.policy.data(), head.exploration.data()};
        gradient.hidden_gradients = hidden.data();
        gradient.weight_gradients = weights.data();
        if (known) gradient.log_sum_exp = statistics.log_sum_exp.data();
        if (known) gradient.entropies = statistics.entropies.data();
        Fault fault;
        enqueue(threads, [&](Launch& launch) {
          return adjudge_cuda_kernels()->linear_gradient(head.device(element), gradient, &fault, launch);
        });
        EXPECT_EQ(fault.kind, FaultKind::none);
        expect_close(hidden, hidden_gradients);
        expect_close(weights, weight_gradients);
        Bits bits;
        bits.add(statistics.log_probs);
        bits.add(statistics.entropies);
        bits.add(hidden);
        bits.add(weights);
        return bits;
      });
      if (::testing::Test::HasFailure()) return;
    }
  }
}

TEST(CudaLinear, ChunksOfRowsAreTheReference) {
  compare({1, 1, 1, 0});
  compare({7, 5, 3, 0});
  compare({37, 40, 150, 16});
}

TEST(CudaLinear, DeepProductsAreSplit) { compare({5, 1030, 70, 3}, {true}); }

TEST(CudaLinear, ManyTilesAndChunks) {
  const Head head(150, 19, 300, 140);
  const auto run = [&](std::int64_t chunk_rows) {
    Head other = head;
    other.chunk_rows = chunk_rows;
    const Statistics statistics(other.device(Element::float32), 64);
    return statistics.log_probs;
  };
  const std::vector<float> whole = run(0);
  EXPECT_EQ(run(140), whole);
  EXPECT_EQ(run(1), whole);
  std::vector<double> log_probs(head.rows);
  rl::LogitsStatistics<double> wanted;
  wanted.log_probs = log_probs.data();
  reference::linear_statistics(head.reference(), wanted);
  expect_close(whole, log_probs);
}

TEST(CudaLinear, NoRowWithACoefficientIsNoGradient) {
  Head head(20, 6, 11, 8);
  head.policy.assign(20, 0);
  head.tokens.assign(20, -1);
  std::vector<float> hidden(120, -7), weights(66, 5);
  LinearGradient gradient;
  gradient.coefficients = {head.policy.data(), nullptr};
  gradient.hidden_gradients = hidden.data();
  gradient.weight_gradients = weights.data();
  Fault fault;
  enqueue(64, [&](Launch& launch) {
    return adjudge_cuda_kernels()->linear_gradient(head.device(Element::bfloat16), gradient, &fault, launch);
  });
  EXPECT_EQ(fault.kind, FaultKind::none);
  EXPECT_EQ(hidden, std::vector<float>(120, 0));
  EXPECT_EQ(weights, std::vector<float>(66, 5));
}

TEST(CudaLinear, FaultsNameTheRowOfTheBatch) {
  Head head(20, 6, 11, 8);
  head.tokens[17] = 11;
  head.policy.assign(20, 1);
  EXPECT_EQ(Statistics(head.device(Element::float32), 64).fault.index, 17);
  head.policy[3] = head.policy[12] = head.exploration[3] = head.exploration[12] = 0;
  head.hidden[13 * 6] = std::nanf("");
  std::vector<float> hidden(120);
  LinearGradient gradient;
  gradient.coefficients = {head.policy.data(), nullptr};
  gradient.hidden_gradients = hidden.data();
  Fault fault;
  enqueue(64, [&](Launch& launch) {
    return adjudge_cuda_kernels()->linear_gradient(head.device(Element::float32), gradient, &fault, launch);
  });
  EXPECT_EQ(fault.kind, FaultKind::logit_not_a_number);
  EXPECT_EQ(fault.index, 13);
}

// Hidden states to loss to gradients, with nothing of the batch's logits kept.
TEST(CudaLinear, APolicyLossThroughTheHeadHasTheGradientsOfDifferences) {
  Head head(24, 9, 31, 10);
  const std::vector<std::int32_t> cu_seqlens{0, 7, 7, 15, 24};
  const std::vector<float> advantages{1, 0.5F, -1.5F, 0.75F};
  Ragged random({7, 0, 8, 9}, 5);
  rl::LossRule rule;
  rule.kl.coefficient = 0.1;
  rule.entropy_coefficient = 0.05;
  rule.aggregation.kind = rl::Aggregation::sequence_mean_token_sum;
  const Statistics statistics(head.device(Element::float32), 64);
  std::vector<float> old = statistics.log_probs, reference_log_probs = statistics.log_probs;
  const std::vector<float> moves = random.normal(24, 0.15), other_moves = random.normal(24, 0.3);
  for (std::size_t t = 0; t < 24; ++t) old[t] += moves[t], reference_log_probs[t] += other_moves[t];
  rl::LossBatch<float> batch;
  batch.log_probs = statistics.log_probs.data();
  batch.old_log_probs = old.data();
  batch.reference_log_probs = reference_log_probs.data();
  batch.entropies = statistics.entropies.data();
  batch.advantages = advantages.data();
  batch.mask = random.mask.data();
  batch.cu_seqlens = cu_seqlens.data();
  batch.rows = 4;
  std::vector<float> policy(24), exploration(24), hidden(24 * 9), weights(31 * 9);
  rl::LossValue value;
  enqueue(64, [&](Launch& launch) {
    return adjudge_cuda_kernels()->policy_loss(rule, batch, 24, nullptr, policy.data(), exploration.data(),
                                               &value, launch);
  });
  LinearGradient gradient;
  gradient.coefficients = {policy.data(), exploration.data()};
  gradient.hidden_gradients = hidden.data();
  gradient.weight_gradients = weights.data();
  Fault fault;
  enqueue(64, [&](Launch& launch) {
    return adjudge_cuda_kernels()->linear_gradient(head.device(Element::float32), gradient, &fault, launch);
  });

  const std::vector<double> wide_old = widened(old), wide_reference = widened(reference_log_probs),
                            wide_advantages = widened(advantages);
  const auto loss = [&] {
    std::vector<double> log_probs(24), entropies(24), ignored(24), ignored_too(24);
    rl::LogitsStatistics<double> wanted;
    wanted.log_probs = log_probs.data();
    wanted.entropies = entropies.data();
    reference::linear_statistics(head.reference(), wanted);
    rl::LossBatch<double> wide;
    wide.log_probs = log_probs.data();
    wide.old_log_probs = wide_old.data();
    wide.reference_log_probs = wide_reference.data();
    wide.entropies = entropies.data();
    wide.advantages = wide_advantages.data();
    wide.mask = random.mask.data();
    wide.cu_seqlens = cu_seqlens.data();
    wide.rows = 4;
    return reference::policy_loss(rule, wide, ignored.data(), ignored_too.data()).loss;
  };
  EXPECT_NEAR(value.loss, loss(), 1e-5);
  const auto expect_differences = [&](const char* name, std::vector<double>& at,
                                      const std::vector<float>& got) {
    for (std::size_t i = 0; i < at.size(); i += 5) {
      const double here = at[i];
      at[i] = here + 1e-5;
      const double above = loss();
      at[i] = here - 1e-5;
      const double slope = (above - loss()) / 2e-5;
      at[i] = here;
      EXPECT_NEAR(got[i], slope, 2e-5 * (1 + std::abs(slope))) << name << " " << i;
    }
  };
  expect_differences("hidden", head.wide_hidden, hidden);
  expect_differences("weight", head.wide_weights, weights);
}

}  // namespace
}  // namespace adjudge::cuda::testing
