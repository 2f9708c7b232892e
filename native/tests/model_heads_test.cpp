// Heads beside the language model's own, and decoding by them: against the language model's head where both
// have the same weights, and against central differences.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <stdexcept>

#include "core/error.h"
#include "tests/model_small.h"

namespace adjudge {
namespace {

Parameter& parameter_of(std::span<Parameter> parameters, const std::string& name) {
  for (Parameter& p : parameters)
    if (p.name == name) return p;
  throw std::runtime_error("no parameter " + name);
}

// A head with the language model's own weights: its outputs are the logits.
void add_copy(Model& model, const std::string& name) {
  model.add_head({.name = name, .per_action = true});
  const Parameter& from = parameter_of(model.parameters(), "lm_head.weight");
  std::copy_n(from.value, from.elements,
              parameter_of(model.head_parameters(), "heads." + name + ".weight").value);
  model.parameters_changed();
}

void fill_bias(Model& model, const std::string& name, float value) {
  Parameter& bias = parameter_of(model.head_parameters(), "heads." + name + ".bias");
  std::fill_n(bias.value, bias.elements, value);
  model.parameters_changed();
}

TEST(ModelHeads, WithTheModelsOwnWeightsTheOutputsAreItsLogits) {
  const ModelConfig config = small(false);
  const RandomSource source(config);
  Model model(config, source, Dtype::float32, true, nullptr);
  add_copy(model, "q");
  fill_bias(model, "q", 0.25f);
  const Example example;
  const std::size_t tokens = example.tokens.size();
  std::vector<float> log_probs(tokens), values(tokens), sums(tokens);
  model.score(example.batch(1), true,
              {.log_probs = log_probs.data(), .heads = {{"q", values.data(), sums.data()}}});
  for (std::size_t t = 0; t < tokens; ++t) EXPECT_NEAR(values[t] - sums[t], log_probs[t], 1e-5) << t;
}

struct Objective {
  std::vector<float> v, q, sums;

  explicit Objective(std::size_t tokens) {
    for (std::size_t t = 0; t < tokens; ++t) {
      v.push_back(std::sin(static_cast<float>(t)));
      q.push_back(std::cos(2 * static_cast<float>(t)));
      sums.push_back(t % 4 ? 0.3f : 0.0f);
    }
  }
  std::vector<HeadGradients> gradients() const {
    return {{"value", v.data(), nullptr}, {"q", q.data(), sums.data()}};
  }
  double of(Model& model, const Example& example) const {
    std::vector<float> values(v.size()), actions(v.size()), totals(v.size());
    model.score(example.batch(), true,
                {.heads = {{"value", values.data(), nullptr}, {"q", actions.data(), totals.data()}}});
    double sum = 0;
    for (std::size_t t = 0; t < v.size(); ++t) {
      sum += static_cast<double>(v[t]) * values[t] + static_cast<double>(q[t]) * actions[t] +
             static_cast<double>(sums[t]) * totals[t];
    }
    return sum;
  }
};

void expect_slope(Model& model, Parameter& p, const Example& example, const Objective& objective) {
  double squares = 0;
  for (std::int64_t i = 0; i < p.elements; ++i) squares += static_cast<double>(p.gradient[i]) * p.gradient[i];
  ASSERT_GT(squares, 0) << p.name;
  const double step = 2e-3 / std::sqrt(squares);
  const std::vector<float> before(p.value, p.value + p.elements);
  double values[2];
  for (int side = 0; side < 2; ++side) {
    for (std::int64_t i = 0; i < p.elements; ++i)
      p.value[i] = static_cast<float>(before[i] + (side ? step : -step) * p.gradient[i]);
    model.parameters_changed();
    values[side] = objective.of(model, example);
  }
  std::copy(before.begin(), before.end(), p.value);
  model.parameters_changed();
  EXPECT_NEAR((values[1] - values[0]) / (2 * step) / squares, 1.0, 2e-2) << p.name;
}

TEST(ModelHeads, GradientsMatchCentralDifferences) {
  const ModelConfig config = small(false);
  const RandomSource source(config);
  const Example example;
  const Objective objective(example.tokens.size());
  const std::vector<float> zeros(example.tokens.size());
  for (const bool stop : {false, true}) {
    Model model(config, source, Dtype::float32, true, nullptr);
    model.add_head({.name = "value", .stop_gradient = stop, .spread = 0.5f, .seed = 1});
    model.add_head({.name = "q", .per_action = true, .stop_gradient = stop, .spread = 0.5f, .seed = 2});
    model.zero_gradients();
    model.backward(example.batch(), zeros.data(), zeros.data(), nullptr, objective.gradients());
    for (Parameter& p : model.head_parameters()) expect_slope(model, p, example, objective);
    for (Parameter& p : model.parameters()) {
      if (p.name == "lm_head.weight") continue;  // no head reads it
      if (!stop) {
        expect_slope(model, p, example, objective);
        continue;
      }
      const bool untouched = std::all_of(p.gradient, p.gradient + p.elements, [](float x) { return x == 0; });
      EXPECT_TRUE(untouched) << p.name;
    }
  }
}

std::vector<GeneratedCompletion> generated(Model& model, SamplingOptions options) {
  const Example example;
  options.completions = 3;
  options.max_tokens = 6;
  options.seed = 11;
  std::vector<GeneratedCompletion> all;
  model.generate(example.prompts, example.prompt_offsets, options,
                 [&](GeneratedCompletion&& one) { all.push_back(std::move(one)); }, {});
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return std::pair(a.prompt, a.index) < std::pair(b.prompt, b.index);
  });
  return all;
}

// With Q = logits and a V that shifts all alike, logits + beta (Q - V) are the logits at a temperature lower
// by 1 + beta. A twin that is larger everywhere changes nothing.
TEST(ModelHeads, DecodingByLogitsIsALowerTemperature) {
  const ModelConfig config = small(false);
  const RandomSource source(config);
  Model model(config, source, Dtype::float32, false, nullptr);
  for (const char* name : {"q", "twin"}) add_copy(model, name);
  fill_bias(model, "twin", 5);
  model.add_head({.name = "value", .spread = 0.5f, .seed = 3});
  SamplingOptions shifted;
  shifted.temperature = 1;
  shifted.q_decoding = {1.5f, {"twin", "q"}, "value"};
  SamplingOptions cooler;
  cooler.temperature = 1 / 2.5f;
  const auto found = generated(model, shifted), expected = generated(model, cooler);
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].tokens, expected[i].tokens);
    for (std::size_t t = 0; t < found[i].log_probs.size(); ++t)
      EXPECT_NEAR(found[i].log_probs[t], expected[i].log_probs[t], 1e-4);
  }
}

std::string code_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code + " " + error.what();
  }
  return "no error";
}

TEST(ModelHeads, WhatAHeadIsNotIsRefused) {
  const ModelConfig config = small(false);
  const RandomSource source(config);
  Model model(config, source, Dtype::float32, true, nullptr);
  model.add_head({.name = "value", .seed = 3});
  model.add_head({.name = "q", .per_action = true, .trainable = false});
  EXPECT_EQ(model.head_names(), (std::vector<std::string>{"value", "q"}));
  const auto decode = [&](const std::string& q, const std::string& value) {
    return code_of([&] {
      SamplingOptions options;
      options.q_decoding = {1, {q}, value};
      generated(model, options);
    });
  };
  EXPECT_EQ(decode("q", "value"), "no error");
  EXPECT_NE(decode("value", "value").find("not one output per token"), std::string::npos);
  EXPECT_NE(decode("q", "q").find("no value of a state"), std::string::npos);
  EXPECT_NE(decode("other", "value").find("no head named other"), std::string::npos);
  EXPECT_EQ(code_of([&] { model.add_head({.name = "q"}); }).rfind("ARGUMENT_INVALID", 0), 0u);
  EXPECT_EQ(code_of([&] { model.step_head("q", {}); }).rfind("NOT_TRAINABLE", 0), 0u);
  EXPECT_EQ(code_of([&] { model.blend_head("q", "value", 0.5); }).rfind("ARGUMENT_INVALID", 0), 0u);
}

TEST(ModelHeads, ATargetFollowsByItsRate) {
  const ModelConfig config = small(false);
  const RandomSource source(config);
  Model model(config, source, Dtype::float32, false, nullptr);
  model.add_head({.name = "q", .per_action = true, .spread = 1, .seed = 4});
  model.add_head({.name = "target", .per_action = true, .spread = 1, .seed = 5});
  const Parameter& q = parameter_of(model.head_parameters(), "heads.q.weight");
  const Parameter& target = parameter_of(model.head_parameters(), "heads.target.weight");
  const std::vector<float> before(target.value, target.value + target.elements);
  model.blend_head("target", "q", 0.25);
  for (std::int64_t i = 0; i < target.elements; ++i) {
    const double expected = before[static_cast<std::size_t>(i)] +
                            0.25 * (static_cast<double>(q.value[i]) - before[static_cast<std::size_t>(i)]);
    ASSERT_EQ(target.value[i], static_cast<float>(expected)) << i;
  }
  model.blend_head("target", "q", 1);
  EXPECT_TRUE(std::equal(q.value, q.value + q.elements, target.value));
}

}  // namespace
}  // namespace adjudge
