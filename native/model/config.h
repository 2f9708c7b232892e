// The one configuration record of every model family: optional features, no class per model.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace adjudge {

// Frequency scaling of Llama 3 (Transformers: rope_type "llama3").
struct Llama3RopeScaling {
  double factor, low_frequency_factor, high_frequency_factor, original_positions;
};

struct ModelConfig {
  std::string family;  // Transformers' model_type
  int64_t vocabulary = 0, hidden = 0, intermediate = 0, layers = 0;
  int64_t heads = 0, kv_heads = 0, head_dim = 0, max_positions = 0;
  float norm_epsilon = 1e-5f;
  double rope_theta = 10000.0;
  std::optional<Llama3RopeScaling> rope_scaling;
  bool tied_head = false;
  std::vector<int32_t> eos_tokens;
  int32_t bos_token = -1;
};

// Reads a Transformers config.json text; both spellings (rope_theta / rope_parameters, torch_dtype / dtype).
// Throws CONFIG_INVALID or UNSUPPORTED_FAMILY.
ModelConfig parse_config(const std::string& json_text, const std::string& file);

}  // namespace adjudge
