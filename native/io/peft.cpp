#include "io/peft.h"

// libstdc++'s own <regex> warns when it is built with sanitizers.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <algorithm>
#include <cmath>
#include <regex>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "io/safetensors.h"

namespace adjudge {
namespace {

constexpr int64_t maximum_rank = 1 << 16;
constexpr size_t maximum_pattern = 4096;

[[noreturn]] void invalid(const std::string& source, const std::string& what) {
  throw Error("ADAPTER_INVALID", source + ": " + what);
}

[[noreturn]] void unsupported(const std::string& source, const std::string& what) {
  throw Error("ADAPTER_UNSUPPORTED", source + ": " + what);
}

bool matches(const std::string& pattern, const std::string& path) {
  // __polynomial: libstdc++'s matcher without backtracking, which no pattern can make take for ever.
  const auto flags = std::regex::ECMAScript | std::regex_constants::__polynomial;
  return std::regex_match(path, std::regex(pattern, flags));
}

// PEFT: re.match(rf"(.*\.)?({key})$", path)
bool matches_end(const std::string& key, const std::string& path) {
  return matches("(.*\\.)?(" + key + ")", path);
}

void check_pattern(const std::string& source, const std::string& field, const std::string& pattern) {
  if (pattern.empty() || pattern.size() > maximum_pattern) {
    invalid(source, field + " is empty or longer than " + std::to_string(maximum_pattern) + " characters");
  }
  // The standard library's compiler recurses per group.
  if (std::count(pattern.begin(), pattern.end(), '(') > 64)
    invalid(source, field + " has more than 64 groups");
  try {
    matches(pattern, "model");
  } catch (const std::regex_error& error) {
    unsupported(source, field + " " + json_quote(pattern) +
                            " is not a regular expression that can be read here (" + error.what() +
                            "); list the module names instead");
  }
}

// Absent, null, false, 0, "", [] and {}: the option is not used.
bool is_unset(const Json* value) {
  if (value == nullptr) return true;
  switch (value->kind()) {
    case Json::Kind::null:
      return true;
    case Json::Kind::boolean:
      return !value->boolean();
    case Json::Kind::number:
      return value->number() == 0;
    case Json::Kind::string:
      return value->string().empty();
    case Json::Kind::array:
      return value->items().empty();
    case Json::Kind::object:
      return value->members().empty();
  }
  return false;
}

// Options that change the arithmetic and that this engine does not have: ignoring one would give wrong
// numbers.
void refuse_unsupported(const Json& json, const std::string& source) {
  static constexpr const char* refused[] = {"use_dora",
                                            "modules_to_save",
                                            "fan_in_fan_out",
                                            "lora_bias",
                                            "exclude_modules",
                                            "layers_to_transform",
                                            "layers_pattern",
                                            "layer_replication",
                                            "target_parameters",
                                            "trainable_token_indices",
                                            "use_qalora",
                                            "use_bdlora",
                                            "alora_invocation_tokens",
                                            "arrow_config",
                                            "kasa_config",
                                            "monteclora_config",
                                            "velora_config",
                                            "ensure_weight_tying",
                                            "megatron_config"};
  for (const char* key : refused) {
    const Json* value = json.find(key);
    if (!is_unset(value)) unsupported(source, std::string(key) + ": " + value->text() + " is not supported");
  }
  // These start from changed base weights, which PEFT recomputes at loading.
  static constexpr const char* changed_base[] = {"pissa", "olora", "corda", "loftq", "lora_ga"};
  if (const Json* start = json.find("init_lora_weights"); start != nullptr) {
    for (const char* method : changed_base) {
      if (start->string().starts_with(method)) {
        unsupported(source, "init_lora_weights: " + start->text() +
                                " is not supported; convert it to plain LoRA first");
      }
    }
  }
  const Json* bias = json.find("bias");
  if (bias != nullptr && !bias->is_null() && bias->string() != "none") {
    unsupported(source, "bias: " + bias->text() + " is not supported; \"none\" was expected");
  }
  const Json* task = json.find("task_type");
  if (task != nullptr && !task->is_null() && task->string() != "CAUSAL_LM") {
    unsupported(source, "task_type: " + task->text() + " is not supported; \"CAUSAL_LM\" was expected");
  }
}

void read_targets(const Json& json, const std::string& source, AdapterConfig& config) {
  const Json* targets = json.find("target_modules");
  if (targets != nullptr && targets->is_string()) {
    if (targets->string() == "all-linear") {
      config.targets = AdapterConfig::Targets::all_linear;
      return;
    }
    config.targets = AdapterConfig::Targets::pattern;
    config.target_pattern = targets->string();
    check_pattern(source, "target_modules", config.target_pattern);
    return;
  }
  if (targets == nullptr || !targets->is_array() || targets->items().empty()) {
    invalid(source, "target_modules must be a list of module names, a regular expression or \"all-linear\"");
  }
  for (const Json& module : targets->items()) {
    if (!module.is_string() || module.string().empty()) {
      invalid(source, "target_modules has the entry " + module.text() + "; a module name was expected");
    }
    config.target_modules.push_back(module.string());
  }
}

int64_t read_rank(const Json& value, const std::string& source, const std::string& field) {
  const std::optional<int64_t> rank = value.integer();
  if (!rank || *rank < 1 || *rank > maximum_rank) {
    invalid(source, field + " is " + value.text() + "; a whole number from 1 to " +
                        std::to_string(maximum_rank) + " was expected");
  }
  return *rank;
}

double read_number(const Json& value, const std::string& source, const std::string& field) {
  if (!value.is_number()) invalid(source, field + " is " + value.text() + "; a number was expected");
  return value.number();
}

template <typename T, typename Read>
void read_pattern(const Json& json, const std::string& source, const char* field,
                  std::vector<std::pair<std::string, T>>& out, Read read) {
  const Json* pattern = json.find(field);
  if (pattern == nullptr || pattern->is_null()) return;
  if (!pattern->is_object()) invalid(source, std::string(field) + " must be an object");
  for (const auto& [key, value] : pattern->members()) {
    const std::string where = std::string(field) + "." + key;
    check_pattern(source, where, key);
    out.emplace_back(key, read(value, source, where));
  }
}

template <typename T>
T value_for(const std::vector<std::pair<std::string, T>>& patterns, const std::string& module_path,
            T otherwise) {
  for (const auto& [key, value] : patterns) {
    if (matches_end(key, module_path)) return value;
  }
  return otherwise;
}

}  // namespace

AdapterConfig parse_adapter_config(std::string_view text, const std::string& source) {
  const Json json = parse_json(text, source);
  if (!json.is_object()) invalid(source, "an object was expected");
  const Json* type = json.find("peft_type");
  if (type == nullptr || type->string() != "LORA") {
    unsupported(source,
                "peft_type: " + (type == nullptr ? "missing" : type->text()) + "; \"LORA\" was expected");
  }
  refuse_unsupported(json, source);

  AdapterConfig config;
  const Json* rank = json.find("r");
  if (rank == nullptr) invalid(source, "r (the rank) is missing");
  config.rank = read_rank(*rank, source, "r");
  const Json* alpha = json.find("lora_alpha");
  if (alpha == nullptr) invalid(source, "lora_alpha is missing");
  config.alpha = read_number(*alpha, source, "lora_alpha");
  if (const Json* dropout = json.find("lora_dropout"); dropout != nullptr && !dropout->is_null()) {
    config.dropout = read_number(*dropout, source, "lora_dropout");
    if (!(config.dropout >= 0 && config.dropout < 1)) invalid(source, "lora_dropout must lie in [0, 1)");
  }
  if (const Json* rslora = json.find("use_rslora"); rslora != nullptr && !rslora->is_null()) {
    if (!rslora->is_boolean()) invalid(source, "use_rslora must be true or false");
    config.use_rslora = rslora->boolean();
  }
  read_targets(json, source, config);
  read_pattern(json, source, "rank_pattern", config.rank_pattern, read_rank);
  read_pattern(json, source, "alpha_pattern", config.alpha_pattern, read_number);
  if (const Json* base = json.find("base_model_name_or_path")) config.base_model = base->string();
  return config;
}

std::string adapter_config_json(const AdapterConfig& config) {
  Json targets;
  switch (config.targets) {
    case AdapterConfig::Targets::all_linear:
      targets = Json("all-linear");
      break;
    case AdapterConfig::Targets::pattern:
      targets = Json(config.target_pattern);
      break;
    case AdapterConfig::Targets::list:
      targets = Json::array();
      for (const std::string& module : config.target_modules) targets.push(module);
  }
  // A whole alpha is written as an integer, as PEFT does.
  const auto plain = [](double value) {
    return value == std::floor(value) && std::abs(value) < 1e15 ? Json(static_cast<int64_t>(value))
                                                                : Json(value);
  };
  Json ranks = Json::object();
  for (const auto& [key, value] : config.rank_pattern) ranks.set(key, value);
  Json alphas = Json::object();
  for (const auto& [key, value] : config.alpha_pattern) alphas.set(key, plain(value));
  return Json::object({{"alpha_pattern", std::move(alphas)},
                       {"auto_mapping", nullptr},
                       {"base_model_name_or_path", config.base_model},
                       {"bias", "none"},
                       {"exclude_modules", nullptr},
                       {"fan_in_fan_out", false},
                       {"inference_mode", true},
                       {"init_lora_weights", true},
                       {"layer_replication", nullptr},
                       {"layers_pattern", nullptr},
                       {"layers_to_transform", nullptr},
                       {"lora_alpha", plain(config.alpha)},
                       {"lora_bias", false},
                       {"lora_dropout", config.dropout},
                       {"modules_to_save", nullptr},
                       {"peft_type", "LORA"},
                       {"r", config.rank},
                       {"rank_pattern", std::move(ranks)},
                       {"revision", nullptr},
                       {"target_modules", std::move(targets)},
                       {"task_type", "CAUSAL_LM"},
                       {"use_dora", false},
                       {"use_rslora", config.use_rslora}})
             .text(2) +
         "\n";
}

bool is_target(const AdapterConfig& config, const std::string& module_path) {
  switch (config.targets) {
    case AdapterConfig::Targets::all_linear:
      return module_path != "lm_head" && !module_path.ends_with(".lm_head");
    case AdapterConfig::Targets::pattern:
      return matches(config.target_pattern, module_path);
    case AdapterConfig::Targets::list:
      break;
  }
  return std::any_of(config.target_modules.begin(), config.target_modules.end(),
                     [&](const std::string& module) {
                       return module_path == module || module_path.ends_with("." + module);
                     });
}

int64_t adapter_rank(const AdapterConfig& config, const std::string& module_path) {
  return value_for(config.rank_pattern, module_path, config.rank);
}

double adapter_scale(const AdapterConfig& config, const std::string& module_path) {
  const auto rank = static_cast<double>(adapter_rank(config, module_path));
  const double alpha = value_for(config.alpha_pattern, module_path, config.alpha);
  return alpha / (config.use_rslora ? std::sqrt(rank) : rank);
}

std::string adapter_tensor_name(const std::string& module_path, AdapterSide side) {
  return "base_model.model." + module_path + (side == AdapterSide::a ? ".lora_A.weight" : ".lora_B.weight");
}

std::optional<std::pair<std::string, AdapterSide>> parse_adapter_tensor_name(const std::string& name) {
  constexpr std::string_view prefix = "base_model.model.";
  constexpr std::string_view suffix_a = ".lora_A.weight";
  constexpr std::string_view suffix_b = ".lora_B.weight";
  if (name.size() <= prefix.size() + suffix_a.size() || !name.starts_with(prefix)) return std::nullopt;
  const bool a = name.ends_with(suffix_a);
  if (!a && !name.ends_with(suffix_b)) return std::nullopt;
  return std::pair(name.substr(prefix.size(), name.size() - prefix.size() - suffix_a.size()),
                   a ? AdapterSide::a : AdapterSide::b);
}

std::map<std::string, AdapterModule> pair_adapter_tensors(const AdapterConfig& config,
                                                          const TensorSource& tensors,
                                                          const std::string& source) {
  std::map<std::string, AdapterModule> modules;
  for (const std::string& name : tensors.names()) {
    const auto parsed = parse_adapter_tensor_name(name);
    if (!parsed) {
      unsupported(source,
                  "tensor " + json_quote(name) +
                      " is no LoRA matrix of a linear layer; base_model.model.<module>.lora_A.weight or "
                      ".lora_B.weight was expected");
    }
    AdapterModule& module = modules[parsed->first];
    (parsed->second == AdapterSide::a ? module.a : module.b) = tensors.find(name);
  }
  if (modules.empty()) invalid(source, "holds no LoRA matrices");
  for (auto& [path, module] : modules) {
    if (module.a == nullptr || module.b == nullptr) {
      invalid(source, "module " + path + " has only one of its two LoRA matrices");
    }
    if (!is_target(config, path))
      invalid(source, "module " + path + " is not among the configuration's target_modules");
    module.rank = adapter_rank(config, path);
    module.scale = adapter_scale(config, path);
    const auto& a = module.a->shape;
    const auto& b = module.b->shape;
    if (a.size() != 2 || b.size() != 2 || a[0] != module.rank || b[1] != module.rank) {
      const auto text = [](const std::vector<int64_t>& shape) {
        Json list = Json::array();
        for (const int64_t dimension : shape) list.push(dimension);
        return list.text();
      };
      invalid(source, "module " + path + ": lora_A is " + text(a) + " and lora_B " + text(b) +
                          "; [r, in] and [out, r] with r = " + std::to_string(module.rank) +
                          " were expected");
    }
  }
  return modules;
}

StoredAdapter open_adapter(const std::string& folder) {
  const std::string config_path = join_path(folder, "adapter_config.json");
  const std::string tensors_path = join_path(folder, "adapter_model.safetensors");
  StoredAdapter adapter;
  {
    const MappedFile file(config_path);
    adapter.config = parse_adapter_config(file.text(), config_path);
  }
  adapter.tensors = open_safetensors(tensors_path);
  adapter.modules = pair_adapter_tensors(adapter.config, *adapter.tensors, tensors_path);
  return adapter;
}

}  // namespace adjudge
