// Exports saveWeights, readSafetensors, writeSafetensors, readGgufMetadata, lockFile.
#include <algorithm>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "../core/file_lock.h"
#include "../io/gguf.h"
#include "../io/peft.h"
#include "../io/safetensors.h"
#include "../model/model.h"
#include "handle.h"

namespace adjudge {

namespace {

using namespace arguments;

struct Adapter {
  const Parameter* a = nullptr;  // [rank, in]
  const Parameter* b = nullptr;  // [out, rank]
};

bool is_adapter(const Parameter& parameter) { return parse_adapter_tensor_name(parameter.name).has_value(); }

// By the name of the weight that the adapter belongs to.
std::map<std::string, Adapter> adapters_of(std::span<const Parameter> parameters) {
  std::map<std::string, Adapter> result;
  for (const Parameter& parameter : parameters) {
    auto place = parse_adapter_tensor_name(parameter.name);
    if (!place) continue;
    Adapter& adapter = result[place->first + ".weight"];
    (place->second == AdapterSide::a ? adapter.a : adapter.b) = &parameter;
  }
  return result;
}

// Elements [first, first + count) of W + scale * B * A.
void read_merged(const Parameter& base, const Adapter& adapter, double scale, int64_t first, int64_t count,
                 float* out) {
  int64_t width = base.shape.back(), rank = adapter.a->shape[0];
  for (int64_t index = 0; index < count; ++index) {
    int64_t row = (first + index) / width, column = (first + index) % width;
    double sum = 0;
    for (int64_t inner = 0; inner < rank; ++inner) {
      sum += static_cast<double>(adapter.b->value[row * rank + inner]) *
             adapter.a->value[inner * width + column];
    }
    out[index] = static_cast<float>(base.value[first + index] + scale * sum);
  }
}

// saveWeights(model, file, part): part is base (without adapter), merged, or adapter.
Napi::Value save_weights(const Napi::CallbackInfo& info) {
  auto entry = unwrap_model(info[0]);
  std::string file = string(info[1], "file"), part = string(info[2], "part");
  if (part != "base" && part != "merged" && part != "adapter") refuse("part", "base, merged or adapter");
  auto job = Job::start(
      info.Env(),
      [entry, file, part](Job&) -> Job::Result {
        std::span<const Parameter> parameters = entry->model->parameters();
        std::map<std::string, Adapter> adapters = adapters_of(parameters);
        if (part == "adapter" && adapters.empty()) {
          throw Error("ARGUMENT_INVALID", "The model has no adapter to save: load it with lora or adapter");
        }
        std::vector<TensorToWrite> tensors;
        for (const Parameter& parameter : parameters) {
          if (is_adapter(parameter) != (part == "adapter")) continue;
          TensorToWrite tensor{parameter.name, StoredType::f32, parameter.shape, {}};
          auto adapter = adapters.find(parameter.name);
          if (part == "merged" && adapter != adapters.end()) {
            tensor.read = [&parameter, pair = adapter->second, scale = entry->lora->scale](
                              int64_t first, int64_t count, float* out) {
              read_merged(parameter, pair, scale, first, count, out);
            };
          } else {
            tensor.read = [&parameter](int64_t first, int64_t count, float* out) {
              std::copy_n(parameter.value + first, count, out);
            };
          }
          tensors.push_back(std::move(tensor));
        }
        write_safetensors(file, tensors);
        return {};
      },
      entry->turnstile);
  return job->promise();
}

// Of a trunk's or a head's optimizer: everything that has moments, and the numbers of steps. A float holds
// every whole number up to 2^24 exactly; a count is split in two for more.
struct OptimizerState {
  struct Count {
    std::string name;
    float parts[2];
  };
  std::vector<Parameter> parameters;
  std::vector<Count> counts;

  explicit OptimizerState(Model& model) {
    counts.push_back(split("step_count", model.step_count()));
    for (const std::string& head : model.head_names())
      counts.push_back(split("heads." + head + ".step_count", model.head_step_count(head)));
    for (std::span<Parameter> all : {model.parameters(), model.head_parameters()})
      for (const Parameter& parameter : all)
        if (parameter.first_moment) parameters.push_back(parameter);
  }

  void set_counts(Model& model) const {
    model.set_step_count(whole(counts[0]));
    const std::vector<std::string> heads = model.head_names();
    for (size_t head = 0; head < heads.size(); ++head)
      model.set_head_step_count(heads[head], whole(counts[head + 1]));
  }

  static Count split(std::string name, int64_t steps) {
    return {std::move(name), {static_cast<float>(steps >> 20), static_cast<float>(steps & 0xfffff)}};
  }
  static int64_t whole(const Count& count) {
    return (static_cast<int64_t>(count.parts[0]) << 20) + static_cast<int64_t>(count.parts[1]);
  }
};

// saveOptimizer(model, file): both moments of every trainable parameter, heads included, and the numbers of
// steps.
Napi::Value save_optimizer(const Napi::CallbackInfo& info) {
  auto entry = unwrap_model(info[0]);
  std::string file = string(info[1], "file");
  auto job = Job::start(
      info.Env(),
      [entry, file](Job&) -> Job::Result {
        const OptimizerState state(*entry->model);
        std::vector<TensorToWrite> tensors;
        for (const OptimizerState::Count& count : state.counts)
          tensors.push_back(plain_tensor(count.name, {2}, count.parts));
        for (const Parameter& parameter : state.parameters) {
          tensors.push_back(
              plain_tensor(parameter.name + ".first_moment", parameter.shape, parameter.first_moment));
          tensors.push_back(
              plain_tensor(parameter.name + ".second_moment", parameter.shape, parameter.second_moment));
        }
        write_safetensors(file, tensors);
        return {};
      },
      entry->turnstile);
  return job->promise();
}

// loadOptimizer(model, file): all of it or, where a tensor does not fit, nothing.
Napi::Value load_optimizer(const Napi::CallbackInfo& info) {
  auto entry = unwrap_model(info[0]);
  std::string file = string(info[1], "file");
  auto job = Job::start(
      info.Env(),
      [entry, file](Job&) -> Job::Result {
        std::unique_ptr<TensorSource> source = open_safetensors(file);
        std::vector<std::pair<const StoredTensor*, float*>> reads;
        OptimizerState state(*entry->model);
        auto expect = [&](const std::string& name, const std::vector<int64_t>& shape, float* target) {
          const StoredTensor* tensor = source->find(name);
          if (!tensor || tensor->shape != shape) {
            throw Error("CHECKPOINT_INVALID",
                        file + ": the tensor " + name + (tensor ? " has another shape" : " is missing") +
                            "; this optimizer state belongs to another model or adapter");
          }
          reads.emplace_back(tensor, target);
        };
        for (OptimizerState::Count& count : state.counts) expect(count.name, {2}, count.parts);
        for (const Parameter& parameter : state.parameters) {
          expect(parameter.name + ".first_moment", parameter.shape, parameter.first_moment);
          expect(parameter.name + ".second_moment", parameter.shape, parameter.second_moment);
        }
        for (const auto& [tensor, target] : reads) read_all(*tensor, target);
        state.set_counts(*entry->model);
        return {};
      },
      entry->turnstile);
  return job->promise();
}

// adapterConfig({ rank, alpha, modules, baseModel }) -> the text of adapter_config.json.
Napi::Value adapter_config(const Napi::CallbackInfo& info) {
  Napi::Object source = object(info[0], "options");
  AdapterConfig config;
  config.rank = integer(source.Get("rank"), "rank", 1, 65536);
  config.alpha = number(source.Get("alpha"), "alpha");
  config.target_modules = strings(source.Get("modules"), "modules");
  config.base_model = string(source.Get("baseModel"), "baseModel");
  return Napi::String::New(info.Env(), adapter_config_json(config));
}

// readSafetensors(path) -> Promise<{ [name]: { data: Float32Array, shape } }>; integers become floats.
Napi::Value read_safetensors(const Napi::CallbackInfo& info) {
  std::string path = string(info[0], "path");
  auto job = Job::start(info.Env(), [path](Job&) -> Job::Result {
    struct Read {
      std::string name;
      std::vector<int64_t> shape;
      std::vector<float> data;
    };
    auto tensors = std::make_shared<std::vector<Read>>();
    std::unique_ptr<TensorSource> source = open_safetensors(path);
    for (const std::string& name : source->names()) {
      const StoredTensor* tensor = source->find(name);
      Read read{name, tensor->shape, std::vector<float>(static_cast<size_t>(element_count(*tensor)))};
      read_all(*tensor, read.data.data());
      tensors->push_back(std::move(read));
    }
    return [tensors](Napi::Env env) -> Napi::Value {
      Napi::Object result = Napi::Object::New(env);
      for (Read& tensor : *tensors) {
        Napi::Object item = Napi::Object::New(env);
        Napi::Array shape = Napi::Array::New(env);
        for (size_t index = 0; index < tensor.shape.size(); ++index) {
          shape.Set(static_cast<uint32_t>(index), static_cast<double>(tensor.shape[index]));
        }
        item.Set("shape", shape);
        item.Set("data", adopt(env, std::move(tensor.data)));
        result.Set(tensor.name, item);
      }
      return result;
    };
  });
  return job->promise();
}

// writeSafetensors(path, [{ name, shape, data }]) -> Promise<void>, as float32.
Napi::Value write_tensors(const Napi::CallbackInfo& info) {
  std::string path = string(info[0], "path");
  if (!info[1].IsArray()) refuse("tensors", "an array");
  auto array = info[1].As<Napi::Array>();
  auto contents = std::make_shared<std::vector<std::vector<float>>>();
  auto tensors = std::make_shared<std::vector<TensorToWrite>>();
  for (uint32_t index = 0; index < array.Length(); ++index) {
    Napi::Object item = object(array.Get(index), "tensors");
    TensorToWrite tensor{string(item.Get("name"), "name"), StoredType::f32, {}, {}};
    if (!item.Get("shape").IsArray()) refuse("shape", "an array of numbers");
    auto shape = item.Get("shape").As<Napi::Array>();
    int64_t elements = 1;
    for (uint32_t axis = 0; axis < shape.Length(); ++axis) {
      tensor.shape.push_back(integer(shape.Get(axis), "shape", 0, int64_t{1} << 40));
      if (__builtin_mul_overflow(elements, tensor.shape.back(), &elements))
        refuse("shape", "a product that fits");
    }
    contents->push_back(floats(item.Get("data"), "data"));
    if (static_cast<int64_t>(contents->back().size()) != elements) {
      refuse("data", "as many numbers as the shape of " + tensor.name + " says");
    }
    tensor.read = [contents, index](int64_t first, int64_t count, float* out) {
      std::copy_n((*contents)[index].data() + first, count, out);
    };
    tensors->push_back(std::move(tensor));
  }
  auto job = Job::start(info.Env(), [path, tensors](Job&) -> Job::Result {
    write_safetensors(path, *tensors);
    return {};
  });
  return job->promise();
}

// readGgufMetadata(path) -> Promise<{ config: string, metadata: string }>, both JSON.
Napi::Value read_gguf_metadata(const Napi::CallbackInfo& info) {
  std::string path = string(info[0], "path");
  auto job = Job::start(info.Env(), [path](Job&) -> Job::Result {
    std::unique_ptr<GgufFile> file = open_gguf(path);
    return [config = gguf_config_json(*file),
            metadata = gguf_metadata_json(*file)](Napi::Env env) -> Napi::Value {
      Napi::Object result = Napi::Object::New(env);
      result.Set("config", config);
      result.Set("metadata", metadata);
      return result;
    };
  });
  return job->promise();
}

// lockFile(path) -> () => void, which gives the lock back; so does the end of the process.
Napi::Value lock_file(const Napi::CallbackInfo& info) {
  auto held =
      std::make_shared<std::unique_ptr<FileLock>>(std::make_unique<FileLock>(string(info[0], "path")));
  return Napi::Function::New(
      info.Env(), [held](const Napi::CallbackInfo&) { held->reset(); }, "unlock");
}

}  // namespace

void export_files(Napi::Env env, Napi::Object exports) {
  export_function(env, exports, "saveWeights", save_weights);
  export_function(env, exports, "saveOptimizer", save_optimizer);
  export_function(env, exports, "loadOptimizer", load_optimizer);
  export_function(env, exports, "adapterConfig", adapter_config);
  export_function(env, exports, "readSafetensors", read_safetensors);
  export_function(env, exports, "writeSafetensors", write_tensors);
  export_function(env, exports, "readGgufMetadata", read_gguf_metadata);
  export_function(env, exports, "lockFile", lock_file);
}

}  // namespace adjudge
