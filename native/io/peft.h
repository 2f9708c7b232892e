// LoRA adapters as PEFT stores them: adapter_config.json and adapter_model.safetensors in one folder.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/tensor_source.h"

namespace adjudge {

struct AdapterConfig {
  // list: module names or ends of module paths; pattern: one regular expression; all_linear: every linear
  // layer but the head.
  enum class Targets { list, pattern, all_linear };

  int64_t rank = 8;
  double alpha = 8;
  double dropout = 0;  // applied in training only
  bool use_rslora = false;
  Targets targets = Targets::list;
  std::vector<std::string> target_modules;  // list
  std::string target_pattern;               // pattern
  // Regular expression of a module path's end → rank or alpha of the modules that match; the first match
  // counts.
  std::vector<std::pair<std::string, int64_t>> rank_pattern;
  std::vector<std::pair<std::string, double>> alpha_pattern;
  std::string base_model;  // base_model_name_or_path
};

// Reads adapter_config.json. source names the file in messages.
// Throws JSON_INVALID, ADAPTER_INVALID (wrong or missing values), ADAPTER_UNSUPPORTED (DoRA, other PEFT
// methods, modules_to_save, biases, fan_in_fan_out, …).
AdapterConfig parse_adapter_config(std::string_view text, const std::string& source);

// adapter_config.json with every key that PEFT expects.
std::string adapter_config_json(const AdapterConfig& config);

// Whether the configuration puts an adapter on a linear layer, for example `model.layers.0.self_attn.q_proj`.
bool is_target(const AdapterConfig& config, const std::string& module_path);
int64_t adapter_rank(const AdapterConfig& config, const std::string& module_path);
// The factor of B·A: alpha / rank, with rslora alpha / √rank.
double adapter_scale(const AdapterConfig& config, const std::string& module_path);

enum class AdapterSide { a, b };
// `base_model.model.<module path>.lora_A.weight`
std::string adapter_tensor_name(const std::string& module_path, AdapterSide side);
// Module path and side of such a name; empty for any other name.
std::optional<std::pair<std::string, AdapterSide>> parse_adapter_tensor_name(const std::string& name);

struct AdapterModule {
  const StoredTensor* a = nullptr;  // [rank, in]
  const StoredTensor* b = nullptr;  // [out, rank]
  int64_t rank = 0;
  double scale = 0;
};

struct StoredAdapter {
  AdapterConfig config;
  std::unique_ptr<TensorSource> tensors;
  std::map<std::string, AdapterModule> modules;  // by module path
};

// Pairs an adapter's tensors by module and checks their shapes. Throws ADAPTER_INVALID and
// ADAPTER_UNSUPPORTED.
std::map<std::string, AdapterModule> pair_adapter_tensors(const AdapterConfig& config,
                                                          const TensorSource& tensors,
                                                          const std::string& source);

// Opens an adapter's folder.
StoredAdapter open_adapter(const std::string& folder);

}  // namespace adjudge
