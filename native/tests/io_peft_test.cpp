#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/file.h"
#include "core/json.h"
#include "io/peft.h"
#include "io/safetensors.h"
#include "io_builders.h"

namespace adjudge {
namespace {

using testing::expect_error;
using testing::TemporaryFolder;

const std::string query = "model.layers.0.self_attn.q_proj";

// A minimal configuration with one field more.
std::string with(const std::string& field) {
  return R"({"peft_type":"LORA","r":4,"lora_alpha":10,"target_modules":["q_proj"])" +
         (field.empty() ? "" : "," + field) + "}";
}

std::string targets(const std::string& value) {
  return R"({"peft_type":"LORA","r":4,"lora_alpha":10,"target_modules":)" + value + "}";
}

TEST(Peft, ReadsRankScaleAndTargets) {
  const AdapterConfig config =
      parse_adapter_config(with(R"("bias":"none","base_model_name_or_path":"base","loftq_config":{})"), "a");
  EXPECT_EQ(config.rank, 4);
  EXPECT_EQ(config.base_model, "base");
  EXPECT_EQ(adapter_scale(config, query), 2.5);
  EXPECT_TRUE(is_target(config, query));
  EXPECT_FALSE(is_target(config, "model.layers.0.self_attn.k_proj"));
  EXPECT_FALSE(is_target(config, "model.layers.0.self_attn.my_q_proj"));
  EXPECT_EQ(adapter_scale(parse_adapter_config(with(R"("use_rslora":true)"), "a"), query), 5.0);
}

TEST(Peft, ReadsPatternsAndAllLinear) {
  const AdapterConfig pattern =
      parse_adapter_config(targets(R"x(".*\\.layers\\.[01]\\.(self_attn|mlp)\\.(q_proj|up_proj)")x"), "a");
  EXPECT_TRUE(is_target(pattern, query));
  EXPECT_FALSE(is_target(pattern, "model.layers.2.self_attn.q_proj"));
  EXPECT_FALSE(is_target(pattern, query + ".more"));
  const AdapterConfig all = parse_adapter_config(targets(R"("all-linear")"), "a");
  EXPECT_TRUE(is_target(all, query));
  EXPECT_FALSE(is_target(all, "lm_head"));
  const AdapterConfig ranks = parse_adapter_config(
      with(
          R"("rank_pattern":{"layers.0.self_attn.q_proj":16},"alpha_pattern":{"^model\\.layers\\.1\\..*":3})"),
      "a");
  EXPECT_EQ(adapter_rank(ranks, query), 16);
  EXPECT_EQ(adapter_scale(ranks, query), 10.0 / 16);
  EXPECT_EQ(adapter_rank(ranks, "model.layers.1.self_attn.q_proj"), 4);
  EXPECT_EQ(adapter_scale(ranks, "model.layers.1.self_attn.q_proj"), 3.0 / 4);
}

TEST(Peft, APatternCannotTakeForEver) {
  const AdapterConfig config = parse_adapter_config(targets(R"("((a*)*)*b")"), "a");
  EXPECT_FALSE(is_target(config, std::string(60, 'a')));
}

TEST(Peft, RefusesWhatWouldGiveWrongNumbers) {
  const std::pair<const char*, const char*> cases[] = {
      {R"("use_dora":true)", "use_dora"},
      {R"("modules_to_save":["lm_head"])", "modules_to_save"},
      {R"("bias":"all")", "bias"},
      {R"("fan_in_fan_out":true)", "fan_in_fan_out"},
      {R"("layers_to_transform":[0])", "layers_to_transform"},
      {R"("init_lora_weights":"pissa_niter_4")", "init_lora_weights"},
      {R"("task_type":"SEQ_CLS")", "task_type"}};
  for (const auto& [field, part] : cases) {
    expect_error("ADAPTER_UNSUPPORTED", part,
                 [&] { parse_adapter_config(with(field), "adapter_config.json"); });
  }
  expect_error("ADAPTER_UNSUPPORTED", "IA3", [] { parse_adapter_config(R"({"peft_type":"IA3"})", "a"); });
  expect_error("ADAPTER_UNSUPPORTED", "regular expression",
               [] { parse_adapter_config(targets(R"("(?<=a)b[")"), "a"); });
}

TEST(Peft, RefusesWrongValues) {
  const auto refuse = [](const std::string& code, const std::string& part, const std::string& text) {
    expect_error(code, part, [&] { parse_adapter_config(text, "adapter_config.json"); });
  };
  refuse("JSON_INVALID", "adapter_config.json", "{");
  refuse("ADAPTER_INVALID", "object", "[]");
  refuse("ADAPTER_INVALID", "r (the rank)", R"({"peft_type":"LORA","lora_alpha":1,"target_modules":["a"]})");
  refuse("ADAPTER_INVALID", "r is 0", R"({"peft_type":"LORA","r":0,"lora_alpha":1,"target_modules":["a"]})");
  refuse("ADAPTER_INVALID", "r is 1.5",
         R"({"peft_type":"LORA","r":1.5,"lora_alpha":1,"target_modules":["a"]})");
  refuse("ADAPTER_INVALID", "lora_alpha",
         R"({"peft_type":"LORA","r":1,"lora_alpha":"x","target_modules":["a"]})");
  refuse("ADAPTER_INVALID", "target_modules", targets("[]"));
  refuse("ADAPTER_INVALID", "target_modules", targets("[1]"));
  refuse("ADAPTER_INVALID", "use_rslora", with(R"("use_rslora":1)"));
  refuse("ADAPTER_INVALID", "lora_dropout", with(R"("lora_dropout":1)"));
  refuse("ADAPTER_INVALID", "rank_pattern", with(R"("rank_pattern":{"q_proj":-1})"));
}

TEST(Peft, MapsNames) {
  EXPECT_EQ(adapter_tensor_name(query, AdapterSide::a), "base_model.model." + query + ".lora_A.weight");
  const auto b = parse_adapter_tensor_name("base_model.model." + query + ".lora_B.weight");
  ASSERT_TRUE(b.has_value());
  EXPECT_EQ(b->first, query);
  EXPECT_EQ(b->second, AdapterSide::b);
  EXPECT_FALSE(parse_adapter_tensor_name(query + ".weight").has_value());
  EXPECT_FALSE(parse_adapter_tensor_name("base_model.model." + query + ".lora_embedding_A").has_value());
}

TEST(Peft, WritesWhatItReads) {
  AdapterConfig config;
  config.rank = 16;
  config.alpha = 32;
  config.use_rslora = true;
  config.target_modules = {"q_proj", "v_proj"};
  config.rank_pattern = {{"q_proj", 8}};
  config.base_model = "base";
  const std::string text = adapter_config_json(config);
  const AdapterConfig read = parse_adapter_config(text, "a");
  EXPECT_EQ(adapter_config_json(read), text);
  EXPECT_EQ(adapter_scale(read, query), 32 / std::sqrt(8.0));
  const Json json = parse_json(text, "a");
  EXPECT_EQ(json.find("peft_type")->string(), "LORA");
  EXPECT_EQ(json.find("task_type")->string(), "CAUSAL_LM");
  EXPECT_EQ(json.find("lora_alpha")->integer(), 32);
  EXPECT_EQ(json.find("bias")->string(), "none");
}

TEST(Peft, OpensAFolderAndChecksItsTensors) {
  const TemporaryFolder folder;
  const auto zeros = [](int64_t, int64_t count, float* out) { std::fill_n(out, count, 0.0f); };
  const auto write = [&](const std::vector<TensorToWrite>& tensors) {
    write_safetensors(folder / "adapter_model.safetensors", tensors);
  };
  const std::string a = adapter_tensor_name(query, AdapterSide::a),
                    b = adapter_tensor_name(query, AdapterSide::b);
  write_file_atomically(folder / "adapter_config.json", with(""));
  write({{a, StoredType::f32, {4, 6}, zeros}, {b, StoredType::f32, {5, 4}, zeros}});
  const StoredAdapter adapter = open_adapter(folder.path());
  ASSERT_EQ(adapter.modules.size(), 1u);
  const AdapterModule& module = adapter.modules.at(query);
  EXPECT_EQ(module.rank, 4);
  EXPECT_EQ(module.scale, 2.5);
  EXPECT_EQ(module.a->shape, (std::vector<int64_t>{4, 6}));
  EXPECT_EQ(module.b->shape, (std::vector<int64_t>{5, 4}));

  const auto open = [&] { open_adapter(folder.path()); };
  write({{a, StoredType::f32, {3, 6}, zeros}, {b, StoredType::f32, {5, 3}, zeros}});
  expect_error("ADAPTER_INVALID", "r = 4", open);
  write({{a, StoredType::f32, {4, 6}, zeros}});
  expect_error("ADAPTER_INVALID", "only one", open);
  write({{"model.norm.weight", StoredType::f32, {4}, zeros}});
  expect_error("ADAPTER_UNSUPPORTED", "model.norm.weight", open);
  write({});
  expect_error("ADAPTER_INVALID", "no LoRA matrices", open);
  const std::string key = "model.layers.0.self_attn.k_proj";
  write({{adapter_tensor_name(key, AdapterSide::a), StoredType::f32, {4, 6}, zeros},
         {adapter_tensor_name(key, AdapterSide::b), StoredType::f32, {5, 4}, zeros}});
  expect_error("ADAPTER_INVALID", "not among", open);
  std::filesystem::remove(folder / "adapter_model.safetensors");
  expect_error("FILE_NOT_FOUND", "adapter_model.safetensors", open);
}

}  // namespace
}  // namespace adjudge
