#include "io/gguf_llama.h"

#include <cmath>
#include <limits>
#include <numbers>

#include "core/error.h"

namespace adjudge {
namespace {

constexpr const char* heads_key = "llama.attention.head_count";
constexpr const char* key_value_heads_key = "llama.attention.head_count_kv";

[[noreturn]] void invalid(const GgufFile& file, const std::string& what) {
  throw Error("GGUF_INVALID", file.name() + ": " + what);
}

[[noreturn]] void unsupported(const GgufFile& file, const std::string& what) {
  throw Error("UNSUPPORTED_FAMILY", file.name() + ": a llama model with " + what + " is not supported");
}

int64_t required(const GgufFile& file, const std::string& key) {
  const std::optional<int64_t> value = file.integer(key);
  if (!value) invalid(file, "metadata key " + key + " is missing");
  if (*value < 1 || *value > std::numeric_limits<int32_t>::max()) {
    invalid(file, "metadata key " + key + " is " + std::to_string(*value) +
                      "; a positive 32-bit number was expected");
  }
  return *value;
}

int64_t head_dimension(const GgufFile& file) {
  if (file.integer("llama.attention.key_length")) return required(file, "llama.attention.key_length");
  const int64_t width = required(file, "llama.embedding_length");
  const int64_t heads = required(file, heads_key);
  if (width % heads != 0)
    invalid(file, "llama.embedding_length is not a multiple of " + std::string(heads_key));
  return width / heads;
}

int64_t key_value_heads(const GgufFile& file) {
  return file.value(key_value_heads_key) == nullptr ? required(file, heads_key)
                                                    : required(file, key_value_heads_key);
}

// The divisors of the rotary frequencies that Llama 3's scaling gives; formula of Transformers'
// _compute_llama3_parameters and of llama.cpp's converter.
std::vector<double> llama3_divisors(double theta, int64_t head_dim, double factor, double low, double high,
                                    double original_context) {
  std::vector<double> divisors;
  for (int64_t i = 0; i < head_dim; i += 2) {
    const double frequency = std::pow(theta, -static_cast<double>(i) / static_cast<double>(head_dim));
    const double wavelength = 2 * std::numbers::pi / frequency;
    if (wavelength < original_context / high) {
      divisors.push_back(1);
    } else if (wavelength > original_context / low) {
      divisors.push_back(factor);
    } else {
      const double smooth = (original_context / wavelength - low) / (high - low);
      divisors.push_back(1 / ((1 - smooth) / factor + smooth));
    }
  }
  return divisors;
}

// GGUF keeps only the resulting divisors (rope_freqs), not the parameters. They are found again by trying the
// ones that Llama 3 models use and comparing every divisor.
Json llama3_scaling(const GgufFile& file, const StoredTensor& stored, double theta, int64_t head_dim) {
  const int64_t count = element_count(stored);
  if (count != head_dim / 2) {
    invalid(file, "tensor rope_freqs.weight has " + std::to_string(count) +
                      " values; half the head dimension, " + std::to_string(head_dim / 2) + ", was expected");
  }
  std::vector<float> given(static_cast<size_t>(count));
  read_all(stored, given.data());
  const double factor = static_cast<double>(given.back());
  constexpr double low = 1;
  constexpr double high = 4;
  std::vector<int64_t> contexts = {8192, 4096, 2048, 16384, 32768};
  if (const auto stated = file.integer("llama.rope.scaling.original_context_length"))
    contexts.insert(contexts.begin(), *stated);
  for (const int64_t context : contexts) {
    const auto expected = llama3_divisors(theta, head_dim, factor, low, high, static_cast<double>(context));
    bool same = true;
    for (size_t i = 0; i < given.size(); ++i) {
      same = same && std::abs(static_cast<double>(given[i]) - expected[i]) <= 1e-4 * expected[i];
    }
    if (!same) continue;
    return Json::object({{"rope_type", "llama3"},
                         {"factor", factor},
                         {"low_freq_factor", low},
                         {"high_freq_factor", high},
                         {"original_max_position_embeddings", context}});
  }
  unsupported(file, "a rope_freqs tensor that does not follow Llama 3's scaling");
}

Json rope_scaling(const GgufFile& file, double theta, int64_t head_dim) {
  if (const StoredTensor* divisors = file.find("rope_freqs.weight")) {
    return llama3_scaling(file, *divisors, theta, head_dim);
  }
  const Json* type = file.value("llama.rope.scaling.type");
  if (type == nullptr || type->string() == "none") return {};
  Json scaling = Json::object({{"rope_type", type->string()}});
  if (const auto factor = file.number("llama.rope.scaling.factor")) scaling.set("factor", *factor);
  if (const auto context = file.integer("llama.rope.scaling.original_context_length")) {
    scaling.set("original_max_position_embeddings", *context);
  }
  return scaling;
}

void refuse_variants(const GgufFile& file, int64_t head_dim) {
  if (file.integer("llama.expert_count").value_or(0) > 0) unsupported(file, "experts");
  if (file.integer("llama.attention.sliding_window").value_or(0) > 0) unsupported(file, "a sliding window");
  if (file.integer("llama.rope.dimension_count").value_or(head_dim) != head_dim) {
    unsupported(file, "a partial rotary embedding");
  }
  if (file.integer("llama.attention.value_length").value_or(head_dim) != head_dim) {
    unsupported(file, "values of another width than its keys");
  }
}

}  // namespace

std::string llama_tensor_name(const std::string& stored_name) {
  static const std::map<std::string, std::string> whole = {{"token_embd.weight", "model.embed_tokens.weight"},
                                                           {"output_norm.weight", "model.norm.weight"},
                                                           {"output.weight", "lm_head.weight"}};
  static const std::map<std::string, std::string> of_layer = {
      {"attn_norm", "input_layernorm"},    {"attn_q", "self_attn.q_proj"},
      {"attn_k", "self_attn.k_proj"},      {"attn_v", "self_attn.v_proj"},
      {"attn_output", "self_attn.o_proj"}, {"ffn_norm", "post_attention_layernorm"},
      {"ffn_gate", "mlp.gate_proj"},       {"ffn_up", "mlp.up_proj"},
      {"ffn_down", "mlp.down_proj"}};
  if (const auto found = whole.find(stored_name); found != whole.end()) return found->second;
  if (!stored_name.starts_with("blk.")) return stored_name;
  const size_t after_layer = stored_name.find('.', 4);
  const size_t before_kind = stored_name.rfind('.');
  if (after_layer == std::string::npos || before_kind <= after_layer) return stored_name;
  const auto part = of_layer.find(stored_name.substr(after_layer + 1, before_kind - after_layer - 1));
  if (part == of_layer.end()) return stored_name;
  const std::string layer = stored_name.substr(4, after_layer - 4);
  return "model.layers." + layer + "." + part->second + stored_name.substr(before_kind);
}

void set_llama_row_order(const GgufFile& file, const std::string& stored_name, StoredTensor& tensor) {
  const bool query = stored_name.find(".attn_q.") != std::string::npos;
  const bool key = stored_name.find(".attn_k.") != std::string::npos;
  if (!query && !key) return;
  const int64_t heads = query ? required(file, heads_key) : key_value_heads(file);
  const int64_t head_dim = head_dimension(file);
  if (head_dim % 2 != 0) invalid(file, "the head dimension " + std::to_string(head_dim) + " is not even");
  if (tensor.shape.empty() || tensor.shape[0] != heads * head_dim ||
      tensor.shape[0] > std::numeric_limits<int32_t>::max()) {
    invalid(file, "tensor " + stored_name + " has " + std::to_string(row_count(tensor)) + " rows; " +
                      std::to_string(heads) + " heads of " + std::to_string(head_dim) + " were expected");
  }
  // Stored: [heads, head_dim/2, 2, in]; Transformers: [heads, 2, head_dim/2, in]. Without data there is
  // nothing to reorder, and a file that only claims many rows costs no memory.
  if (tensor.bytes == 0) return;
  tensor.row_order.resize(static_cast<size_t>(tensor.shape[0]));
  const int64_t half = head_dim / 2;
  for (int64_t head = 0; head < heads; ++head) {
    for (int64_t i = 0; i < head_dim; ++i) {
      const int64_t stored = head * head_dim + 2 * (i % half) + i / half;
      tensor.row_order[static_cast<size_t>(head * head_dim + i)] = static_cast<int32_t>(stored);
    }
  }
}

std::string gguf_config_json(const GgufFile& file) {
  const StoredTensor* embedding = file.find("model.embed_tokens.weight");
  if (embedding == nullptr || embedding->shape.size() != 2)
    invalid(file, "tensor token_embd.weight is missing or no matrix");
  const int64_t width = required(file, "llama.embedding_length");
  if (embedding->shape[1] != width) {
    invalid(file, "tensor token_embd.weight has rows of " + std::to_string(embedding->shape[1]) +
                      " values but llama.embedding_length is " + std::to_string(width));
  }
  const std::optional<double> epsilon = file.number("llama.attention.layer_norm_rms_epsilon");
  if (!epsilon) invalid(file, "metadata key llama.attention.layer_norm_rms_epsilon is missing");
  const int64_t head_dim = head_dimension(file);
  refuse_variants(file, head_dim);
  const double theta = file.number("llama.rope.freq_base").value_or(10000);

  Json config =
      Json::object({{"architectures", Json::array({"LlamaForCausalLM"})},
                    {"model_type", "llama"},
                    {"hidden_size", width},
                    {"intermediate_size", required(file, "llama.feed_forward_length")},
                    {"num_hidden_layers", required(file, "llama.block_count")},
                    {"num_attention_heads", required(file, heads_key)},
                    {"num_key_value_heads", key_value_heads(file)},
                    {"head_dim", head_dim},
                    {"hidden_act", "silu"},
                    {"rms_norm_eps", *epsilon},
                    {"rope_theta", theta},
                    {"rope_scaling", rope_scaling(file, theta, head_dim)},
                    {"max_position_embeddings", required(file, "llama.context_length")},
                    {"vocab_size", embedding->shape[0]},
                    {"tie_word_embeddings", file.find("lm_head.weight") == nullptr},
                    {"attention_bias", file.find("model.layers.0.self_attn.q_proj.bias") != nullptr},
                    {"mlp_bias", file.find("model.layers.0.mlp.gate_proj.bias") != nullptr}});
  const std::pair<const char*, const char*> token_ids[] = {
      {"bos_token_id", "tokenizer.ggml.bos_token_id"},
      {"eos_token_id", "tokenizer.ggml.eos_token_id"},
      {"pad_token_id", "tokenizer.ggml.padding_token_id"}};
  for (const auto& [name, key] : token_ids) {
    const std::optional<int64_t> id = file.integer(key);
    config.set(name, id ? Json(*id) : Json());
  }
  return config.text(2);
}

}  // namespace adjudge
