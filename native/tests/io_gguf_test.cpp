#include <gtest/gtest.h>

#include <cstdlib>

#include "core/file.h"
#include "core/half.h"
#include "core/json.h"
#include "io/gguf.h"
#include "io/safetensors.h"
#include "io_builders.h"

namespace adjudge {
namespace {

using testing::append;
using testing::bytes_of;
using testing::counting;
using testing::expect_error;
using testing::floats;
using testing::GgufBuilder;

constexpr uint32_t f32 = 0, f16 = 1, q4_0 = 2, q4_1 = 3, q8_0 = 8, bf16 = 30;

std::vector<float> all_of(const TensorSource& source, const std::string& name) {
  const StoredTensor* tensor = source.find(name);
  if (tensor == nullptr) return {};
  std::vector<float> values(static_cast<size_t>(element_count(*tensor)));
  read_all(*tensor, values.data());
  return values;
}

void refuse(const std::string& code, const std::string& part, const std::string& text) {
  SCOPED_TRACE(part);
  expect_error(code, part, [&] { GgufFile(bytes_of(text), "model.gguf"); });
  expect_error(code, "model.gguf", [&] { GgufFile(bytes_of(text), "model.gguf"); });
}

TEST(Gguf, ReadsMetadata) {
  GgufBuilder builder = GgufBuilder::llama();
  std::string array;
  append(array, uint32_t{8});
  append(array, uint64_t{2});
  array += GgufBuilder::string("a\"b") + GgufBuilder::string("é");
  builder.key("tokenizer.ggml.tokens", 9, array);
  builder.key("yes", 7, std::string(1, '\1'));
  builder.key("minus", 1, std::string(1, '\xff'));
  std::string large;
  append(large, UINT64_MAX);
  builder.key("large", 10, large);
  const std::string text = builder.text();
  const GgufFile file(bytes_of(text), "test");
  EXPECT_EQ(file.value("general.architecture")->string(), "llama");
  EXPECT_EQ(file.integer("minus"), -1);
  EXPECT_EQ(file.number("large"), 18446744073709551616.0);
  EXPECT_EQ(file.number("llama.attention.layer_norm_rms_epsilon"), 1e-5);
  EXPECT_EQ(file.value("missing"), nullptr);
  const Json all = parse_json(gguf_metadata_json(file), "metadata");
  EXPECT_EQ(all.find("tokenizer.ggml.tokens")->text(), R"(["a\"b","é"])");
  EXPECT_TRUE(all.find("yes")->boolean());
  EXPECT_EQ(all.find("llama.block_count")->integer(), 1);
}

TEST(Gguf, ReadsEveryTensorTypeUnderTransformersNames) {
  GgufBuilder builder = GgufBuilder::llama();
  builder.tensor("token_embd.weight", {8, 3}, f32, floats(counting(24)));
  std::string halves, bfloats;
  for (int i = 0; i < 8; ++i) append(halves, f32_to_f16(static_cast<float>(i) / 4));
  for (int i = 0; i < 8; ++i) append(bfloats, f32_to_bf16(static_cast<float>(-i)));
  builder.tensor("output_norm.weight", {8}, f16, halves);
  builder.tensor("blk.0.attn_norm.weight", {8}, bf16, bfloats);
  std::string block8, block4;
  append(block8, f32_to_f16(0.5f));
  for (int i = 0; i < 32; ++i) append(block8, static_cast<int8_t>(i - 16));
  append(block4, f32_to_f16(2.0f));
  append(block4, f32_to_f16(-1.0f));
  for (int i = 0; i < 16; ++i) append(block4, static_cast<uint8_t>(i | ((15 - i) << 4)));
  builder.tensor("blk.0.ffn_up.weight", {32, 1}, q8_0, block8);
  builder.tensor("blk.0.ffn_down.weight", {32, 2}, q4_1, block4 + block4);
  const std::string text = builder.text();
  const GgufFile file(bytes_of(text), "test");
  EXPECT_EQ(file.names(),
            (std::vector<std::string>{"model.embed_tokens.weight", "model.layers.0.input_layernorm.weight",
                                      "model.layers.0.mlp.down_proj.weight",
                                      "model.layers.0.mlp.up_proj.weight", "model.norm.weight"}));
  EXPECT_EQ(file.find("model.embed_tokens.weight")->shape, (std::vector<int64_t>{3, 8}));
  EXPECT_EQ(all_of(file, "model.embed_tokens.weight"), counting(24));
  EXPECT_EQ(all_of(file, "model.norm.weight"), (std::vector<float>{0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75}));
  EXPECT_EQ(all_of(file, "model.layers.0.input_layernorm.weight"),
            (std::vector<float>{0, -1, -2, -3, -4, -5, -6, -7}));
  const std::vector<float> eight = all_of(file, "model.layers.0.mlp.up_proj.weight");
  for (int i = 0; i < 32; ++i) EXPECT_EQ(eight[static_cast<size_t>(i)], 0.5f * static_cast<float>(i - 16));
  std::vector<float> four(32);
  read_rows(*file.find("model.layers.0.mlp.down_proj.weight"), 1, 1, four.data());
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(four[static_cast<size_t>(i)], 2.0f * static_cast<float>(i) - 1.0f);
    EXPECT_EQ(four[static_cast<size_t>(i + 16)], 2.0f * static_cast<float>(15 - i) - 1.0f);
  }
}

TEST(Gguf, ReadsVectorsOfBlocksFromAnyStart) {
  GgufBuilder builder = GgufBuilder::llama();
  std::string blocks;
  for (int block = 0; block < 2; ++block) {
    append(blocks, f32_to_f16(1.0f));
    for (int i = 0; i < 32; ++i) append(blocks, static_cast<int8_t>(block * 32 + i));
  }
  builder.tensor("output_norm.weight", {64}, q8_0, blocks);
  const std::string text = builder.text();
  const GgufFile file(bytes_of(text), "test");
  float part[40];
  read_rows(*file.find("model.norm.weight"), 20, 40, part);
  EXPECT_EQ(std::vector<float>(part, part + 40), counting(40, 20));
}

TEST(Gguf, PutsQueryAndKeyRowsInTransformersOrder) {
  GgufBuilder builder = GgufBuilder::llama();
  builder.tensor("blk.0.attn_q.weight", {1, 8}, f32,
                 floats({0, 2, 1, 3, 4, 6, 5, 7}));  // pairs interleaved per head
  builder.tensor("blk.0.attn_k.weight", {1, 4}, f32, floats({0, 2, 1, 3}));
  builder.tensor("blk.0.attn_v.weight", {1, 4}, f32, floats({0, 1, 2, 3}));
  const std::string text = builder.text();
  const GgufFile file(bytes_of(text), "test");
  EXPECT_EQ(all_of(file, "model.layers.0.self_attn.q_proj.weight"), counting(8));
  EXPECT_EQ(all_of(file, "model.layers.0.self_attn.k_proj.weight"), counting(4));
  EXPECT_EQ(all_of(file, "model.layers.0.self_attn.v_proj.weight"), counting(4));
  float row = -1;
  read_rows(*file.find("model.layers.0.self_attn.q_proj.weight"), 5, 1, &row);
  EXPECT_EQ(row, 5);
}

TEST(Gguf, GivesATransformersConfig) {
  GgufBuilder builder = GgufBuilder::llama();
  builder.key_u32("tokenizer.ggml.bos_token_id", 1);
  builder.key_u32("tokenizer.ggml.eos_token_id", 2);
  builder.tensor("token_embd.weight", {8, 3}, f32, floats(counting(24)));
  const std::string tied = builder.text();
  const Json config = parse_json(gguf_config_json(GgufFile(bytes_of(tied), "test")), "config.json");
  EXPECT_EQ(config.find("model_type")->string(), "llama");
  const std::pair<const char*, int64_t> numbers[] = {
      {"hidden_size", 8},         {"intermediate_size", 16},       {"num_hidden_layers", 1},
      {"num_attention_heads", 2}, {"num_key_value_heads", 1},      {"head_dim", 4},
      {"vocab_size", 3},          {"max_position_embeddings", 64}, {"bos_token_id", 1},
      {"eos_token_id", 2}};
  for (const auto& [key, value] : numbers) EXPECT_EQ(config.find(key)->integer(), value) << key;
  EXPECT_EQ(config.find("rms_norm_eps")->number(), 1e-5);
  EXPECT_EQ(config.find("rope_theta")->number(), 10000.0);
  EXPECT_TRUE(config.find("rope_scaling")->is_null());
  EXPECT_TRUE(config.find("tie_word_embeddings")->boolean());

  builder.tensor("output.weight", {8, 3}, f32, floats(counting(24)));
  const std::string untied = builder.text();
  EXPECT_FALSE(parse_json(gguf_config_json(GgufFile(bytes_of(untied), "test")), "c")
                   .find("tie_word_embeddings")
                   ->boolean());
}

TEST(Gguf, FindsLlama3ScalingFromItsDivisors) {
  // By hand for theta 10000, head dimension 4, factor 8, context 64, factors 1 and 4: wavelengths 6.28 and
  // 628.
  GgufBuilder builder = GgufBuilder::llama();
  builder.key_u32("llama.rope.scaling.original_context_length", 64);
  builder.tensor("token_embd.weight", {8, 3}, f32, floats(counting(24)));
  GgufBuilder other = builder;
  builder.tensor("rope_freqs.weight", {2}, f32, floats({1, 8}));
  const std::string text = builder.text();
  const Json config = parse_json(gguf_config_json(GgufFile(bytes_of(text), "test")), "config.json");
  const Json* scaling = config.find("rope_scaling");
  EXPECT_EQ(scaling->find("rope_type")->string(), "llama3");
  EXPECT_EQ(scaling->find("factor")->number(), 8.0);
  EXPECT_EQ(scaling->find("original_max_position_embeddings")->integer(), 64);
  other.tensor("rope_freqs.weight", {2}, f32, floats({3, 8}));
  const std::string wrong = other.text();
  expect_error("UNSUPPORTED_FAMILY", "rope_freqs",
               [&] { gguf_config_json(GgufFile(bytes_of(wrong), "test")); });
}

TEST(Gguf, RefusesOtherFamiliesAndTypes) {
  GgufBuilder phi;
  phi.key_string("general.architecture", "phi3");
  refuse("UNSUPPORTED_FAMILY", "family phi3 is not supported; supported: llama", phi.text());
  refuse("GGUF_INVALID", "general.architecture", GgufBuilder().text());
  GgufBuilder small = GgufBuilder::llama();
  small.tensor("token_embd.weight", {32, 1}, q4_0, std::string(18, '\0'));
  refuse("UNSUPPORTED_TENSOR_TYPE", "stored as Q4_0", small.text());
  GgufBuilder experts = GgufBuilder::llama();
  experts.key_u32("llama.expert_count", 8);
  experts.tensor("token_embd.weight", {8, 1}, f32, floats(counting(8)));
  const std::string text = experts.text();
  expect_error("UNSUPPORTED_FAMILY", "experts", [&] { gguf_config_json(GgufFile(bytes_of(text), "test")); });
}

TEST(Gguf, RefusesFilesThatLie) {
  refuse("GGUF_INVALID", "does not begin with GGUF", "GGML....");
  GgufBuilder old = GgufBuilder::llama();
  old.version = 1;
  refuse("GGUF_INVALID", "version 1", old.text());
  old.version = 0x03000000;
  refuse("GGUF_INVALID", "big-endian", old.text());
  const auto changed = [](auto change) {
    GgufBuilder builder = GgufBuilder::llama();
    change(builder);
    return builder.text();
  };
  refuse("GGUF_INVALID", "number of metadata keys", changed([](auto& b) { b.key_count = UINT64_MAX; }));
  refuse("GGUF_INVALID", "number of tensors", changed([](auto& b) { b.tensor_count = UINT64_MAX / 2; }));
  refuse("GGUF_INVALID", "given twice", changed([](auto& b) { b.key_u32("llama.block_count", 1); }));
  refuse("GGUF_INVALID", "unknown value type 13", changed([](auto& b) { b.key("k", 13, ""); }));
  refuse("GGUF_INVALID", "not valid UTF-8", changed([](auto& b) { b.key_string("k", "\xff"); }));
  refuse("GGUF_INVALID", "needs 18446744073709551615 bytes",
         changed([](auto& b) { b.key("k", 8, std::string(8, '\xff')); }));
  refuse("GGUF_INVALID", "the length of", changed([](auto& b) {
           std::string array;
           append(array, uint32_t{0});
           append(array, uint64_t{1} << 40);
           b.key("k", 9, array);
         }));
  refuse("GGUF_INVALID", "too deeply", changed([](auto& b) {
           std::string array;
           for (int i = 0; i < 8; ++i) {
             append(array, uint32_t{9});
             append(array, uint64_t{1});
           }
           b.key("k", 9, array + std::string(16, '\0'));
         }));
  refuse("GGUF_INVALID", "general.alignment", changed([](auto& b) { b.key_u32("general.alignment", 24); }));
  refuse("GGUF_INVALID", "general.alignment", changed([](auto& b) { b.key_u32("general.alignment", 0); }));
  refuse("GGUF_INVALID", "64 bits", changed([](auto& b) { b.info("a", {1ull << 32, 1ull << 32}, f32, 0); }));
  refuse("GGUF_INVALID", "dimension too large", changed([](auto& b) { b.info("a", {UINT64_MAX}, f32, 0); }));
  refuse("GGUF_INVALID", "overflow", changed([](auto& b) { b.info("a", {1ull << 62}, f32, 0); }));
  refuse("GGUF_INVALID", "5 dimensions", changed([](auto& b) { b.info("a", {1, 1, 1, 1, 1}, f32, 0); }));
  const auto half_a_block = [](auto& b) { b.info("a", {16, 2}, q4_1, 0); };
  refuse("GGUF_INVALID", "whole number of Q4_1 blocks", changed(half_a_block));
  refuse("GGUF_INVALID", "not a multiple of 32", changed([](auto& b) { b.info("a", {1}, f32, 4); }));
  refuse("GGUF_INVALID", "past the end", changed([](auto& b) { b.info("a", {1}, f32, 0); }));
  refuse("GGUF_INVALID", "past the end", changed([](auto& b) { b.info("a", {1}, f32, UINT64_MAX - 31); }));
  refuse("GGUF_INVALID", "overlap", changed([](auto& b) {
           b.tensor("a", {8}, f32, floats(counting(8)));
           b.info("b", {8}, f32, 0);
         }));
  refuse("GGUF_INVALID", "given twice", changed([](auto& b) {
           b.tensor("a", {8}, f32, floats(counting(8)));
           b.tensor("a", {8}, f32, floats(counting(8)));
         }));
  const auto one_head = [](auto& b) { b.tensor("blk.0.attn_q.weight", {1, 4}, f32, floats(counting(4))); };
  refuse("GGUF_INVALID", "2 heads of 4", changed(one_head));
  GgufBuilder whole = GgufBuilder::llama();
  whole.tensor("token_embd.weight", {8, 3}, f32, floats(counting(24)));
  const std::string text = whole.text();
  for (size_t size = 4; size < text.size(); ++size) {
    expect_error("GGUF_INVALID", "model.gguf", [&] { GgufFile(bytes_of(text).first(size), "model.gguf"); });
  }
}

// ADJUDGE_TEST_MODEL names a model's Transformers folder; beside it lies FOLDER.gguf with the same weights.
TEST(Gguf, EqualsTheTransformersFolderOfARealModel) {
  const char* folder = std::getenv("ADJUDGE_TEST_MODEL");
  if (folder == nullptr || !file_exists(std::string(folder) + ".gguf")) {
    GTEST_SKIP() << "ADJUDGE_TEST_MODEL names no model folder with FOLDER.gguf beside it";
  }
  const auto gguf = open_gguf(std::string(folder) + ".gguf");
  const auto transformers = open_safetensors(folder);
  ASSERT_EQ(gguf->names(), transformers->names());
  for (const std::string& name : gguf->names()) {
    ASSERT_EQ(gguf->find(name)->shape, transformers->find(name)->shape) << name;
    const std::vector<float> ours = all_of(*gguf, name), theirs = all_of(*transformers, name);
    ASSERT_EQ(std::memcmp(ours.data(), theirs.data(), ours.size() * sizeof(float)), 0) << name;
  }
  const MappedFile config_file(join_path(folder, "config.json"));
  const Json ours = parse_json(gguf_config_json(*gguf), "gguf"),
             theirs = parse_json(config_file.text(), "config.json");
  for (const char* key : {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                          "head_dim", "num_key_value_heads", "vocab_size", "max_position_embeddings",
                          "bos_token_id", "eos_token_id", "tie_word_embeddings", "model_type"}) {
    ASSERT_NE(theirs.find(key), nullptr) << key;
    EXPECT_EQ(ours.find(key)->text(), theirs.find(key)->text()) << key;
  }
}

}  // namespace
}  // namespace adjudge
