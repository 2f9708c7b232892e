// Exports load, describe, dispose, score, logits, backward, zeroGradients, step.
#include "../model/model.h"

#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "../core/cancel.h"
#include "../core/thread_pool.h"
#include "../cpu/gemm.h"
#include "../io/gguf.h"
#include "../io/peft.h"
#include "../io/safetensors.h"
#include "handle.h"
#include "heads.h"

namespace adjudge {

namespace {

using namespace arguments;

struct LoadRequest {
  std::string weights, config, config_name, adapter;
  bool gguf = false, trainable = true, lora = false;
  Dtype dtype = Dtype::float32;
  LoraOptions lora_options;
};

const char* const linear_modules[] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                      "self_attn.o_proj", "mlp.gate_proj",    "mlp.up_proj",
                                      "mlp.down_proj"};

std::string module_path(int64_t layer, const std::string& module) {
  return "model.layers." + std::to_string(layer) + "." + module;
}

// What the adapter's configuration asks of the model. Throws ADAPTER_UNSUPPORTED where layers differ.
LoraOptions lora_of(const AdapterConfig& adapter, int64_t layers, const std::string& folder) {
  LoraOptions options;
  bool first = true;
  for (const std::string module : linear_modules) {
    int64_t targets = 0;
    for (int64_t layer = 0; layer < layers; ++layer) {
      std::string path = module_path(layer, module);
      if (!is_target(adapter, path)) continue;
      ++targets;
      int64_t rank = adapter_rank(adapter, path);
      double scale = adapter_scale(adapter, path);
      if (!first && (rank != options.rank || scale != options.scale)) {
        throw Error("ADAPTER_UNSUPPORTED",
                    folder + ": rank or alpha differ between modules; expected one for all");
      }
      options.rank = rank;
      options.scale = scale;
      first = false;
    }
    if (targets == layers) options.modules.push_back(module.substr(module.find('.') + 1));
    if (targets != 0 && targets != layers) {
      throw Error("ADAPTER_UNSUPPORTED", folder + ": " + module + " has an adapter in " +
                                             std::to_string(targets) + " of " + std::to_string(layers) +
                                             " layers; expected all or none");
    }
  }
  if (options.modules.empty())
    throw Error("ADAPTER_INVALID", folder + ": target_modules names no linear layer of the model");
  return options;
}

// Copies the adapter's tensors into the model's adapter parameters; each must be there with the same shape.
void fill_adapter(Model& model, const StoredAdapter& adapter, const std::string& folder) {
  size_t used = 0;
  for (Parameter& parameter : model.parameters()) {
    auto place = parse_adapter_tensor_name(parameter.name);
    if (!place) continue;
    auto module = adapter.modules.find(place->first);
    const StoredTensor* tensor = nullptr;
    if (module != adapter.modules.end()) {
      tensor = place->second == AdapterSide::a ? module->second.a : module->second.b;
    }
    if (!tensor || tensor->shape != parameter.shape) {
      throw Error("ADAPTER_INVALID",
                  folder + ": the tensor " + parameter.name +
                      (tensor ? " has a shape that does not fit the model" : " is missing"));
    }
    read_all(*tensor, parameter.value);
    ++used;
  }
  if (used != 2 * adapter.modules.size()) {
    throw Error("ADAPTER_INVALID", folder + ": holds adapters for layers that the model does not have");
  }
  model.parameters_changed();
}

// auto: bfloat16 where the processor computes in it.
Dtype dtype_of(const std::string& name) {
  if (name == "float32") return Dtype::float32;
  if (name == "bfloat16") return Dtype::bfloat16;
  if (name == "auto") return computes_bfloat16() ? Dtype::bfloat16 : Dtype::float32;
  throw Error("ARGUMENT_INVALID", "dtype: expected auto, float32 or bfloat16, got " + name);
}

Napi::Value load(const Napi::CallbackInfo& info) {
  Napi::Object options = object(info[0], "options");
  LoadRequest request;
  request.weights = string(options.Get("weights"), "weights");
  request.gguf = boolean(options.Get("gguf"), "gguf");
  request.config = string(options.Get("config"), "config");
  request.config_name = string(options.Get("configName"), "configName");
  request.trainable = boolean(options.Get("trainable"), "trainable");
  request.dtype = dtype_of(string(options.Get("dtype"), "dtype"));
  if (!options.Get("lora").IsUndefined()) {
    Napi::Object lora = object(options.Get("lora"), "lora");
    request.lora = true;
    request.lora_options.rank = integer(lora.Get("rank"), "lora.rank", 1, 65536);
    request.lora_options.scale = number(lora.Get("scale"), "lora.scale");
    request.lora_options.modules = strings(lora.Get("modules"), "lora.modules");
    request.lora_options.seed =
        static_cast<uint64_t>(integer(lora.Get("seed"), "lora.seed", 0, int64_t{1} << 53));
  }
  if (!options.Get("adapter").IsUndefined()) request.adapter = string(options.Get("adapter"), "adapter");
  auto job = Job::start(info.Env(), [request](Job&) -> Job::Result {
    ModelConfig config = parse_config(request.config, request.config_name);
    std::unique_ptr<TensorSource> source = request.gguf
                                               ? std::unique_ptr<TensorSource>(open_gguf(request.weights))
                                               : open_safetensors(request.weights);
    auto entry = std::make_shared<ModelEntry>();
    if (request.adapter.empty()) {
      if (request.lora) entry->lora = request.lora_options;
      entry->model = std::make_unique<Model>(config, *source, request.dtype, request.trainable,
                                             entry->lora ? &*entry->lora : nullptr);
    } else {
      StoredAdapter adapter = open_adapter(request.adapter);
      entry->lora = lora_of(adapter.config, config.layers, request.adapter);
      entry->model =
          std::make_unique<Model>(config, *source, request.dtype, request.trainable, &*entry->lora);
      fill_adapter(*entry->model, adapter, request.adapter);
    }
    return [entry](Napi::Env env) -> Napi::Value { return wrap_model(env, entry); };
  });
  return job->promise();
}

Napi::Value describe(const Napi::CallbackInfo& info) {
  auto entry = unwrap_model(info[0]);
  const ModelConfig& config = entry->model->config();
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("family", config.family);
  result.Set("vocabulary", static_cast<double>(config.vocabulary));
  result.Set("hidden", static_cast<double>(config.hidden));
  result.Set("intermediate", static_cast<double>(config.intermediate));
  result.Set("layers", static_cast<double>(config.layers));
  result.Set("heads", static_cast<double>(config.heads));
  result.Set("kvHeads", static_cast<double>(config.kv_heads));
  result.Set("headDim", static_cast<double>(config.head_dim));
  result.Set("maxPositions", static_cast<double>(config.max_positions));
  result.Set("tiedHead", config.tied_head);
  result.Set("eosTokens", copy(info.Env(), config.eos_tokens));
  result.Set("bosToken", config.bos_token);
  result.Set("dtype", entry->model->dtype() == Dtype::bfloat16 ? "bfloat16" : "float32");
  result.Set("bytes", static_cast<double>(entry->model->bytes()));
  if (entry->lora) {
    Napi::Object lora = Napi::Object::New(info.Env());
    lora.Set("rank", static_cast<double>(entry->lora->rank));
    lora.Set("scale", entry->lora->scale);
    Napi::Array modules = Napi::Array::New(info.Env());
    for (const std::string& module : entry->lora->modules) modules.Set(modules.Length(), module);
    lora.Set("modules", modules);
    result.Set("lora", lora);
  }
  return result;
}

// A GroupedBatch that owns its arrays.
struct OwnedBatch {
  std::vector<int32_t> prompt_tokens, prompt_offsets, completion_tokens, completion_offsets, completion_group;
  float temperature = 1.0f;

  GroupedBatch view() const {
    return {prompt_tokens,      prompt_offsets,   completion_tokens,
            completion_offsets, completion_group, temperature};
  }
};

void check_tokens(const std::vector<int32_t>& tokens, const ModelConfig& config, const char* name) {
  for (size_t index = 0; index < tokens.size(); ++index) {
    if (tokens[index] < 0 || tokens[index] >= config.vocabulary) {
      refuse(name, "token ids from 0 to " + std::to_string(config.vocabulary - 1) + ", got " +
                       std::to_string(tokens[index]) + " at " + std::to_string(index));
    }
  }
}

OwnedBatch read_batch(const Napi::Value& value, const ModelConfig& config, int64_t prefix_length = 0) {
  Napi::Object source = object(value, "batch");
  OwnedBatch batch;
  batch.prompt_tokens = int32s(source.Get("promptTokens"), "promptTokens");
  batch.prompt_offsets = int32s(source.Get("promptOffsets"), "promptOffsets");
  batch.completion_tokens = int32s(source.Get("completionTokens"), "completionTokens");
  batch.completion_offsets = int32s(source.Get("completionOffsets"), "completionOffsets");
  batch.completion_group = int32s(source.Get("completionGroup"), "completionGroup");
  batch.temperature = static_cast<float>(number(source.Get("temperature"), "temperature"));
  if (!(batch.temperature > 0)) refuse("temperature", "a number above 0");
  check_offsets(batch.prompt_offsets, batch.prompt_tokens.size(), "promptOffsets");
  check_offsets(batch.completion_offsets, batch.completion_tokens.size(), "completionOffsets");
  if (batch.completion_group.size() + 1 != batch.completion_offsets.size()) {
    refuse("completionGroup", "one entry per completion");
  }
  check_tokens(batch.prompt_tokens, config, "promptTokens");
  check_tokens(batch.completion_tokens, config, "completionTokens");
  int32_t groups = static_cast<int32_t>(batch.prompt_offsets.size()) - 1;
  for (int32_t group = 0; group < groups; ++group) {
    if (batch.prompt_offsets[group] == batch.prompt_offsets[group + 1]) {
      refuse("promptTokens",
             "at least one token in every prompt, prompt " + std::to_string(group) + " has none");
    }
  }
  int32_t last = 0;
  for (size_t index = 0; index < batch.completion_group.size(); ++index) {
    int32_t group = batch.completion_group[index];
    if (group < last || group >= groups) refuse("completionGroup", "ascending indices of prompts");
    last = group;
    int64_t length = prefix_length + batch.prompt_offsets[group + 1] - batch.prompt_offsets[group] +
                     batch.completion_offsets[index + 1] - batch.completion_offsets[index];
    if (length > config.max_positions) {
      throw Error("CONTEXT_EXCEEDED", "Sequence " + std::to_string(index) + " has " + std::to_string(length) +
                                          " tokens, but the model's context is " +
                                          std::to_string(config.max_positions));
    }
  }
  return batch;
}

// What one score() call is asked for, and its results: arrays of one float per completion token.
struct ScoreRequest {
  bool log_probs = true, entropies = false, sum_pi_squared = false;
  std::vector<HeadRequest> heads;
};

ScoreRequest read_score_request(const Napi::Object& options) {
  ScoreRequest request;
  request.log_probs = options.Get("logProbs").IsUndefined() || boolean(options.Get("logProbs"), "logProbs");
  request.entropies = boolean(options.Get("entropies"), "entropies");
  request.sum_pi_squared = boolean(options.Get("sumPiSquared"), "sumPiSquared");
  request.heads = read_head_requests(options.Get("heads"));
  return request;
}

using Arrays = std::map<std::string, std::vector<float>>;

// score(model, batch, { adapter, logProbs = true, entropies, sumPiSquared, heads, prefix }) -> one
// Float32Array per key; of heads { NAME: { values, logSumExps } }.
Napi::Value score(const Napi::CallbackInfo& info) {
  auto entry = unwrap_model(info[0]);
  Napi::Object options = object(info[2], "options");
  auto prefix = unwrap_prefix(options.Get("prefix"));
  auto batch = std::make_shared<OwnedBatch>(
      read_batch(info[1], entry->model->config(), prefix ? prefix->length() : 0));
  const bool adapter = boolean(options.Get("adapter"), "adapter");
  ScoreRequest request = read_score_request(options);
  auto job = Job::start(
      info.Env(),
      [entry, batch, adapter, request, prefix](Job& running) -> Job::Result {
        CancelScope scope(running.cancelled());
        check_cancelled();
        const size_t count = batch->completion_tokens.size();
        auto own = std::make_shared<Arrays>();
        auto heads = std::make_shared<std::map<std::string, Arrays>>();
        const auto array = [count](Arrays& arrays, const char* name, bool wanted) -> float* {
          return wanted ? arrays.try_emplace(name, count).first->second.data() : nullptr;
        };
        Scores scores{array(*own, "logProbs", request.log_probs),
                      array(*own, "entropies", request.entropies),
                      array(*own, "sumPiSquared", request.sum_pi_squared),
                      {}};
        for (const HeadRequest& head : request.heads) {
          Arrays& arrays = (*heads)[head.name];
          scores.heads.push_back(
              {head.name, array(arrays, "values", true), array(arrays, "logSumExps", head.log_sum_exps)});
        }
        if (count > 0) entry->model->score(batch->view(), adapter, scores, prefix.get());
        return [own, heads](Napi::Env env) -> Napi::Value {
          const auto set_all = [env](Napi::Object target, Arrays& arrays) {
            for (auto& [name, values] : arrays) target.Set(name, adopt(env, std::move(values)));
            return target;
          };
          Napi::Object result = set_all(Napi::Object::New(env), *own);
          Napi::Object outputs = Napi::Object::New(env);
          for (auto& [name, arrays] : *heads) outputs.Set(name, set_all(Napi::Object::New(env), arrays));
          result.Set("heads", outputs);
          return result;
        };
      },
      entry->turnstile);
  return Job::cancellable(info.Env(), job);
}

// prefix(model, tokens, adapter) -> an opaque object that score and generate take
Napi::Value prefix(const Napi::CallbackInfo& info) {
  auto entry = unwrap_model(info[0]);
  std::vector<int32_t> tokens = int32s(info[1], "tokens");
  const bool adapter = boolean(info[2], "adapter");
  check_tokens(tokens, entry->model->config(), "tokens");
  auto job = Job::start(
      info.Env(),
      [entry, tokens, adapter](Job& running) -> Job::Result {
        CancelScope scope(running.cancelled());
        check_cancelled();
        auto made = entry->model->prefix(tokens, adapter);
        return [made](Napi::Env env) -> Napi::Value { return wrap_prefix(env, made); };
      },
      entry->turnstile);
  return Job::cancellable(info.Env(), job);
}

Napi::Value logits(const Napi::CallbackInfo& info) {
  auto entry = unwrap_model(info[0]);
  std::vector<int32_t> tokens = int32s(info[1], "tokens");
  const ModelConfig& config = entry->model->config();
  check_tokens(tokens, config, "tokens");
  if (tokens.empty()) refuse("tokens", "at least one token");
  if (static_cast<int64_t>(tokens.size()) > config.max_positions) {
    throw Error("CONTEXT_EXCEEDED", "The sequence has " + std::to_string(tokens.size()) +
                                        " tokens, but the model's context is " +
                                        std::to_string(config.max_positions));
  }
  auto job = Job::start(
      info.Env(),
      [entry, tokens](Job& running) -> Job::Result {
        CancelScope scope(running.cancelled());
        check_cancelled();
        auto out = std::make_shared<std::vector<float>>(
            tokens.size() * static_cast<size_t>(entry->model->config().vocabulary));
        entry->model->logits(tokens, out->data());
        return [out](Napi::Env env) -> Napi::Value { return adopt(env, std::move(*out)); };
      },
      entry->turnstile);
  return Job::cancellable(info.Env(), job);
}

Napi::Value backward(const Napi::CallbackInfo& info) {
  auto entry = unwrap_model(info[0]);
  auto batch = std::make_shared<OwnedBatch>(read_batch(info[1], entry->model->config()));
  size_t count = batch->completion_tokens.size();
  auto coefficients = std::make_shared<std::vector<float>>(floats(info[2], "logProbGradients"));
  auto entropy = std::make_shared<std::vector<float>>();
  if (!info[3].IsUndefined()) *entropy = floats(info[3], "entropyGradients");
  if (coefficients->size() != count) refuse("logProbGradients", "one number per completion token");
  if (!info[3].IsUndefined() && entropy->size() != count)
    refuse("entropyGradients", "one number per completion token");
  auto heads = std::make_shared<std::vector<OwnedHeadGradients>>(read_head_gradients(info[4], count));
  auto job = Job::start(
      info.Env(),
      [entry, batch, coefficients, entropy, heads, count](Job& running) -> Job::Result {
        CancelScope scope(running.cancelled());
        check_cancelled();
        auto log_probs = std::make_shared<std::vector<float>>(count);
        std::vector<HeadGradients> views;
        for (const OwnedHeadGradients& head : *heads) views.push_back(head.view());
        if (count > 0) {
          entry->model->backward(batch->view(), coefficients->data(),
                                 entropy->empty() ? nullptr : entropy->data(), log_probs->data(), views);
        }
        return [log_probs](Napi::Env env) -> Napi::Value { return adopt(env, std::move(*log_probs)); };
      },
      entry->turnstile);
  return Job::cancellable(info.Env(), job);
}

Napi::Value zero_gradients(const Napi::CallbackInfo& info) {
  auto entry = unwrap_model(info[0]);
  auto job = Job::start(
      info.Env(),
      [entry](Job&) -> Job::Result {
        entry->model->zero_gradients();
        return {};
      },
      entry->turnstile);
  return job->promise();
}

Napi::Value step(const Napi::CallbackInfo& info) {
  auto entry = unwrap_model(info[0]);
  const AdamwOptions options = read_adamw(info[1]);
  auto job = Job::start(
      info.Env(),
      [entry, options](Job&) -> Job::Result {
        double norm = entry->model->step(options);
        return [norm](Napi::Env env) -> Napi::Value { return Napi::Number::New(env, norm); };
      },
      entry->turnstile);
  return job->promise();
}

}  // namespace

void export_model(Napi::Env env, Napi::Object exports) {
  export_function(env, exports, "load", load);
  export_function(env, exports, "describe", describe);
  export_function(env, exports, "dispose", [](const Napi::CallbackInfo& info) -> Napi::Value {
    dispose_model(info[0]);
    return info.Env().Undefined();
  });
  export_function(env, exports, "score", score);
  export_function(env, exports, "prefix", prefix);
  export_function(env, exports, "logits", logits);
  export_function(env, exports, "backward", backward);
  export_function(env, exports, "zeroGradients", zero_gradients);
  export_function(env, exports, "step", step);
  export_function(env, exports, "setThreads", [](const Napi::CallbackInfo& info) -> Napi::Value {
    set_threads(static_cast<int>(integer(info[0], "threads", 1, 1024)));
    return info.Env().Undefined();
  });
  export_function(env, exports, "threads", [](const Napi::CallbackInfo& info) -> Napi::Value {
    return Napi::Number::New(info.Env(), threads());
  });
  export_function(env, exports, "instructionSet", [](const Napi::CallbackInfo& info) -> Napi::Value {
    return Napi::String::New(info.Env(), instruction_set());
  });
}

}  // namespace adjudge
