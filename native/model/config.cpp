#include "config.h"

#include <algorithm>

#include "../core/error.h"
#include "../core/json.h"

namespace adjudge {
namespace {

struct Reader {
  const Json& json;
  const std::string& file;

  [[noreturn]] void fail(const std::string& what) const { throw Error{"CONFIG_INVALID", file + ": " + what}; }

  int64_t integer(const char* key, std::optional<int64_t> fallback = {}) const {
    const Json* value = json.find(key);
    if (!value || value->is_null()) {
      if (fallback) return *fallback;
      fail(std::string("the key ") + key + " is missing; expected a positive integer");
    }
    auto number = value->integer();
    if (!number || *number <= 0 || *number > (int64_t{1} << 31))
      fail(std::string(key) + " should be a positive integer below 2^31");
    return *number;
  }

  double number(const Json& object, const char* key, std::optional<double> fallback = {}) const {
    const Json* value = object.find(key);
    if (!value || value->is_null()) {
      if (fallback) return *fallback;
      fail(std::string("the key ") + key + " is missing; expected a number");
    }
    if (!value->is_number() || !(value->number() > 0))
      fail(std::string(key) + " should be a positive number");
    return value->number();
  }

  bool boolean(const char* key, bool fallback) const {
    const Json* value = json.find(key);
    if (!value || value->is_null()) return fallback;
    if (!value->is_boolean()) fail(std::string(key) + " should be true or false");
    return value->boolean();
  }
};

void read_rope(const Reader& reader, ModelConfig& config) {
  // Transformers 5 writes rope_parameters; before, rope_theta and rope_scaling stood apart.
  const Json* parameters = reader.json.find("rope_parameters");
  const Json* scaling = parameters && parameters->is_object() ? parameters : reader.json.find("rope_scaling");
  const Json& theta_holder = parameters && parameters->is_object() ? *parameters : reader.json;
  config.rope_theta =
      reader.number(theta_holder, "rope_theta", reader.number(reader.json, "rope_theta", 10000.0));
  if (!scaling || !scaling->is_object()) return;
  const Json* type = scaling->find("rope_type");
  if (!type) type = scaling->find("type");
  std::string name = type && type->is_string() ? type->string() : "default";
  if (name == "default") return;
  if (name != "llama3")
    throw Error{"UNSUPPORTED_FAMILY",
                reader.file + ": rope_type " + name + " is not supported; supported: default, llama3"};
  config.rope_scaling =
      Llama3RopeScaling{reader.number(*scaling, "factor"), reader.number(*scaling, "low_freq_factor"),
                        reader.number(*scaling, "high_freq_factor"),
                        reader.number(*scaling, "original_max_position_embeddings")};
  if (config.rope_scaling->high_frequency_factor <= config.rope_scaling->low_frequency_factor)
    reader.fail("high_freq_factor should be above low_freq_factor");
}

}  // namespace

ModelConfig parse_config(const std::string& json_text, const std::string& file) {
  Json json = parse_json(json_text, file);
  Reader reader{json, file};
  if (!json.is_object()) reader.fail("expected one JSON object");
  const Json* family = json.find("model_type");
  if (!family || !family->is_string())
    reader.fail("the key model_type is missing; expected the family's name, e.g. \"llama\"");
  ModelConfig config;
  config.family = family->string();
  if (config.family != "llama")
    throw Error{"UNSUPPORTED_FAMILY",
                file + ": family " + config.family + " is not supported; supported: llama"};
  const Json* activation = json.find("hidden_act");
  if (activation && activation->is_string() && activation->string() != "silu")
    throw Error{"UNSUPPORTED_FAMILY",
                file + ": hidden_act " + activation->string() + " is not supported; supported: silu"};
  if (reader.boolean("attention_bias", false) || reader.boolean("mlp_bias", false))
    throw Error{"UNSUPPORTED_FAMILY", file + ": biases in attention or MLP are not supported"};
  config.vocabulary = reader.integer("vocab_size");
  config.hidden = reader.integer("hidden_size");
  config.intermediate = reader.integer("intermediate_size");
  config.layers = reader.integer("num_hidden_layers");
  config.heads = reader.integer("num_attention_heads");
  config.kv_heads = reader.integer("num_key_value_heads", config.heads);
  if (config.heads % config.kv_heads)
    reader.fail("num_attention_heads should be a multiple of num_key_value_heads");
  if (!json.find("head_dim") && config.hidden % config.heads)
    reader.fail("hidden_size should be a multiple of num_attention_heads where head_dim is not given");
  config.head_dim = reader.integer("head_dim", std::max<int64_t>(1, config.hidden / config.heads));
  if (config.head_dim % 2) reader.fail("head_dim should be even: RoPE rotates pairs");
  config.max_positions = reader.integer("max_position_embeddings", 2048);
  config.norm_epsilon = static_cast<float>(reader.number(json, "rms_norm_eps", 1e-6));
  config.tied_head = reader.boolean("tie_word_embeddings", false);
  read_rope(reader, config);
  if (const Json* eos = json.find("eos_token_id")) {
    if (auto token = eos->integer()) config.eos_tokens.push_back(static_cast<int32_t>(*token));
    for (const Json& item : eos->items())
      if (auto token = item.integer()) config.eos_tokens.push_back(static_cast<int32_t>(*token));
  }
  if (const Json* bos = json.find("bos_token_id"))
    if (auto token = bos->integer()) config.bos_token = static_cast<int32_t>(*token);
  return config;
}

}  // namespace adjudge
