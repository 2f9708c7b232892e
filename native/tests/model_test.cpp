// Whole-model properties on a small random model: gradients against central differences, rollout equal to
// training bit for bit, results that do not depend on threads or batch.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/thread_pool.h"
#include "tests/model_small.h"

namespace adjudge {
namespace {

void check_differences(Model& model) {
  Example example;
  model.zero_gradients();
  model.backward(example.batch(), example.log_prob_gradients.data(), example.entropy_gradients.data(),
                 nullptr);
  for (Parameter& p : model.parameters()) {
    if (!p.gradient) continue;
    // Along the gradient itself the derivative is its squared norm: one number that every element enters.
    double squares = 0;
    for (int64_t i = 0; i < p.elements; ++i) squares += static_cast<double>(p.gradient[i]) * p.gradient[i];
    ASSERT_GT(squares, 0) << p.name;
    const double step = 2e-3 / std::sqrt(squares);
    const std::vector<float> before(p.value, p.value + p.elements);
    double values[2];
    for (int side = 0; side < 2; ++side) {
      for (int64_t i = 0; i < p.elements; ++i)
        p.value[i] = static_cast<float>(before[i] + (side ? step : -step) * p.gradient[i]);
      model.parameters_changed();
      values[side] = example.objective(model);
    }
    std::copy(before.begin(), before.end(), p.value);
    model.parameters_changed();
    EXPECT_NEAR((values[1] - values[0]) / (2 * step) / squares, 1.0, 2e-2) << p.name;
  }
}

TEST(Model, gradients_match_central_differences) {
  for (bool tied : {false, true}) {
    ModelConfig config = small(tied);
    RandomSource source(config);
    Model model(config, source, Dtype::float32, true, nullptr);
    check_differences(model);
  }
}

TEST(Model, adapter_gradients_match_central_differences_and_base_is_frozen) {
  ModelConfig config = small(true);
  RandomSource source(config);
  LoraOptions lora{.rank = 3,
                   .scale = 1.5,
                   .modules = {"q_proj", "v_proj", "o_proj", "down_proj", "model.layers.1.mlp.gate_proj"},
                   .seed = 5};
  Model model(config, source, Dtype::float32, true, &lora);
  int adapters = 0;
  for (Parameter& p : model.parameters()) {
    EXPECT_EQ(p.gradient != nullptr, p.name.find("lora_") != std::string::npos) << p.name;
    adapters += p.gradient != nullptr;
    if (p.gradient)
      for (int64_t i = 0; i < p.elements; ++i)
        p.value[i] = static_cast<float>(keyed_uniform(7, adapters, 0, i) - 0.5);
  }
  EXPECT_EQ(adapters, 2 * (4 * 2 + 1));
  model.parameters_changed();
  check_differences(model);
}

TEST(Model, new_adapter_changes_nothing) {
  ModelConfig config = small(false);
  RandomSource source(config);
  LoraOptions lora{.rank = 4, .scale = 2, .modules = {"q_proj", "up_proj"}, .seed = 1};
  Model plain(config, source, Dtype::float32, false, nullptr),
      adapted(config, source, Dtype::float32, true, &lora);
  std::vector<int32_t> tokens{1, 2, 3, 4, 5};
  std::vector<float> a(5 * config.vocabulary), b(a.size());
  plain.logits(tokens, a.data());
  adapted.logits(tokens, b.data());
  EXPECT_EQ(a, b);
}

class ModelDtype : public testing::TestWithParam<Dtype> {};
INSTANTIATE_TEST_SUITE_P(Dtypes, ModelDtype, testing::Values(Dtype::float32, Dtype::bfloat16),
                         [](const auto& info) {
                           return info.param == Dtype::bfloat16 ? "bfloat16" : "float32";
                         });

TEST_P(ModelDtype, rollout_log_probs_are_those_of_training_whatever_the_batch_and_threads) {
  ModelConfig config = small(false);
  RandomSource source(config);
  Model model(config, source, GetParam(), true, nullptr);
  Example example;
  const std::atomic<bool> cancelled{false};
  std::vector<std::vector<float>> runs;
  for (int workers : {1, 2})
    for (int64_t max_batch : {1, 3, 64}) {
      set_threads(workers);
      SamplingOptions options;
      options.completions = 4;
      options.max_tokens = 90;  // past the kernels' key blocks
      options.temperature = 0.8f;
      options.seed = 11;
      options.max_batch = max_batch;
      std::vector<GeneratedCompletion> all;
      model.generate(
          example.prompts, example.prompt_offsets, options,
          [&](GeneratedCompletion&& c) { all.push_back(std::move(c)); }, cancelled);
      std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
        return std::pair(a.prompt, a.index) < std::pair(b.prompt, b.index);
      });
      Example sampled;
      sampled.tokens.clear();
      sampled.offsets = {0};
      sampled.groups.clear();
      std::vector<float> rollout;
      for (const auto& c : all) {
        sampled.tokens.insert(sampled.tokens.end(), c.tokens.begin(), c.tokens.end());
        rollout.insert(rollout.end(), c.log_probs.begin(), c.log_probs.end());
        sampled.offsets.push_back(static_cast<int32_t>(sampled.tokens.size()));
        sampled.groups.push_back(static_cast<int32_t>(c.prompt));
        EXPECT_EQ(c.log_probs, c.sampling_log_probs);
      }
      std::vector<float> training(rollout.size()), backward(rollout.size()), ones(rollout.size(), 0.1f);
      model.score(sampled.batch(), true, {.log_probs = training.data(), .heads = {}});
      model.backward(sampled.batch(), ones.data(), nullptr, backward.data());
      EXPECT_EQ(rollout, training);
      EXPECT_EQ(rollout, backward);
      runs.push_back(rollout);
      EXPECT_EQ(runs.front(), rollout);
    }
}

TEST_P(ModelDtype, weights_after_steps_do_not_depend_on_threads) {
  ModelConfig config = small(true);
  std::vector<std::vector<float>> results;
  for (int workers : {1, 2, 3}) {
    set_threads(workers);
    RandomSource source(config);
    Model model(config, source, GetParam(), true, nullptr);
    Example example;
    for (int i = 0; i < 3; ++i) {
      model.backward(example.batch(), example.log_prob_gradients.data(), example.entropy_gradients.data(),
                     nullptr);
      EXPECT_GT(model.step({.learning_rate = 1e-2, .weight_decay = 0.1, .clip_norm = 1.0}), 0);
    }
    std::vector<float>& all = results.emplace_back();
    for (const Parameter& p : model.parameters()) all.insert(all.end(), p.value, p.value + p.elements);
    EXPECT_EQ(results.front(), all);
  }
  set_threads(2);
}

// Rounding the factors of a product to 8 bits moves results by some tenths of a percent; a wrong one by far
// more.
TEST(Model, bfloat16_is_near_float32_and_takes_less_memory) {
  for (const bool with_adapter : {false, true}) {
    ModelConfig config = small(true);
    RandomSource source(config);
    LoraOptions lora;
    lora.rank = 4;
    lora.modules = {"q_proj", "down_proj"};
    std::map<std::string, std::vector<float>> gradients[2];
    std::vector<float> log_probs[2];
    size_t bytes[2];
    Example example;
    for (const int rounded : {0, 1}) {
      Model model(config, source, rounded ? Dtype::bfloat16 : Dtype::float32, true,
                  with_adapter ? &lora : nullptr);
      log_probs[rounded].resize(example.tokens.size());
      model.backward(example.batch(), example.log_prob_gradients.data(), example.entropy_gradients.data(),
                     log_probs[rounded].data());
      for (const Parameter& p : model.parameters())
        if (p.gradient) gradients[rounded][p.name] = {p.gradient, p.gradient + p.elements};
      bytes[rounded] = model.bytes();
    }
    EXPECT_NE(log_probs[0], log_probs[1]);
    for (size_t i = 0; i < log_probs[0].size(); ++i)  // a token without any gradient has no log-prob
      if (!std::isnan(log_probs[0][i])) {
        EXPECT_NEAR(log_probs[0][i], log_probs[1][i], 0.1) << i;
      }
    for (const auto& [name, exact] : gradients[0]) {
      double difference = 0, norm = 0;
      for (size_t i = 0; i < exact.size(); ++i) {
        difference += std::pow(exact[i] - gradients[1][name][i], 2.0);
        norm += std::pow(exact[i], 2.0);
      }
      EXPECT_LE(std::sqrt(difference), 0.05 * std::sqrt(norm)) << name;
    }
    EXPECT_LT(bytes[1], bytes[0]);
  }
}

TEST(Model, completions_without_gradient_are_not_computed) {
  ModelConfig config = small(false);
  RandomSource source(config);
  Model model(config, source, Dtype::float32, true, nullptr);
  Example example;
  std::vector<float> gradients(example.tokens.size(), 0.0f), log_probs(example.tokens.size());
  gradients[2] = 1.0f;
  model.backward(example.batch(), gradients.data(), nullptr, log_probs.data());
  for (size_t i = 0; i < log_probs.size(); ++i) EXPECT_EQ(std::isnan(log_probs[i]), i != 2) << i;
}

TEST(Model, wrong_input_is_named) {
  ModelConfig config = small(false);
  RandomSource source(config);
  auto code = [](auto&& action) {
    try {
      action();
    } catch (const Error& error) {
      return error.code;
    }
    return std::string("none");
  };
  Model model(config, source, Dtype::float32, false, nullptr);
  std::vector<float> out(37 * 300);
  EXPECT_EQ(code([&] { model.logits(std::vector<int32_t>{1, 37}, out.data()); }), "TOKEN_OUT_OF_RANGE");
  EXPECT_EQ(code([&] { model.logits(std::vector<int32_t>(201, 1), out.data()); }), "CONTEXT_EXCEEDED");
  EXPECT_EQ(code([&] { model.step({}); }), "NOT_TRAINABLE");
  RandomSource incomplete(config);
  incomplete.forget("model.layers.1.mlp.up_proj.weight");
  EXPECT_EQ(code([&] { Model broken(config, incomplete, Dtype::float32, false, nullptr); }), "MODEL_INVALID");
  config.intermediate = 41;
  EXPECT_EQ(code([&] { Model broken(config, source, Dtype::float32, false, nullptr); }), "MODEL_INVALID");
}

TEST(Config, both_spellings_and_clear_refusals) {
  const std::string common =
      R"("vocab_size": 9, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2)";
  auto old_spelling = parse_config(
      "{\"model_type\": \"llama\", " + common + ", \"rope_theta\": 500.0, \"eos_token_id\": [2, 3]}",
      "config.json");
  auto new_spelling =
      parse_config("{\"model_type\": \"llama\", " + common +
                       ", \"rope_parameters\": {\"rope_theta\": 500.0, \"rope_type\": \"default\"}}",
                   "config.json");
  EXPECT_EQ(old_spelling.rope_theta, 500.0);
  EXPECT_EQ(new_spelling.rope_theta, 500.0);
  EXPECT_EQ(old_spelling.eos_tokens, (std::vector<int32_t>{2, 3}));
  EXPECT_EQ(old_spelling.kv_heads, 2);
  EXPECT_EQ(old_spelling.head_dim, 4);
  for (const char* text : {"{\"model_type\": \"mamba\"}", "{\"model_type\": \"llama\"}", "[1]", "{"})
    EXPECT_THROW(parse_config(text, "config.json"), Error) << text;
}

}  // namespace
}  // namespace adjudge
