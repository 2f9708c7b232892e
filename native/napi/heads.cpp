// Exports addHead, stepHead, blendHead, saveHeads, loadHeads.
#include "heads.h"

#include <memory>
#include <utility>

#include "../io/safetensors.h"
#include "handle.h"

namespace adjudge {

using namespace arguments;

std::vector<HeadRequest> read_head_requests(const Napi::Value& value) {
  std::vector<HeadRequest> requests;
  if (value.IsUndefined()) return requests;
  if (!value.IsArray()) refuse("heads", "an array");
  auto array = value.As<Napi::Array>();
  for (uint32_t index = 0; index < array.Length(); ++index) {
    Napi::Object item = object(array.Get(index), "heads");
    requests.push_back(
        {string(item.Get("name"), "heads.name"), boolean(item.Get("logSumExps"), "logSumExps")});
  }
  return requests;
}

std::vector<OwnedHeadGradients> read_head_gradients(const Napi::Value& value, size_t tokens) {
  std::vector<OwnedHeadGradients> result;
  if (value.IsUndefined()) return result;
  if (!value.IsArray()) refuse("headGradients", "an array");
  auto array = value.As<Napi::Array>();
  for (uint32_t index = 0; index < array.Length(); ++index) {
    Napi::Object item = object(array.Get(index), "headGradients");
    OwnedHeadGradients head{string(item.Get("name"), "headGradients.name"), {}, {}};
    const auto take = [&](const char* name, std::vector<float>& target) {
      if (item.Get(name).IsUndefined()) return;
      target = floats(item.Get(name), name);
      if (target.size() != tokens)
        refuse(std::string("headGradients.") + name, "one number per completion token");
    };
    take("values", head.values);
    take("logSumExps", head.log_sum_exps);
    result.push_back(std::move(head));
  }
  return result;
}

AdamwOptions read_adamw(const Napi::Value& value) {
  Napi::Object source = object(value, "options");
  AdamwOptions options;
  options.learning_rate = number(source.Get("learningRate"), "learningRate");
  options.beta1 = number(source.Get("beta1"), "beta1");
  options.beta2 = number(source.Get("beta2"), "beta2");
  options.epsilon = number(source.Get("epsilon"), "epsilon");
  options.weight_decay = number(source.Get("weightDecay"), "weightDecay");
  options.clip_norm = number(source.Get("clipNorm"), "clipNorm");
  return options;
}

namespace {

// addHead(model, { name, perAction, trainable, stopGradient, spread, seed }) -> Promise<void>
Napi::Value add_head(const Napi::CallbackInfo& info) {
  auto entry = unwrap_model(info[0]);
  Napi::Object source = object(info[1], "options");
  OutputHeadOptions options;
  options.name = string(source.Get("name"), "name");
  options.per_action = boolean(source.Get("perAction"), "perAction");
  options.trainable = boolean(source.Get("trainable"), "trainable");
  options.stop_gradient = boolean(source.Get("stopGradient"), "stopGradient");
  options.spread = static_cast<float>(number(source.Get("spread"), "spread"));
  options.seed = static_cast<uint64_t>(integer(source.Get("seed"), "seed", 0, int64_t{1} << 53));
  auto job = Job::start(
      info.Env(),
      [entry, options](Job&) -> Job::Result {
        entry->model->add_head(options);
        return {};
      },
      entry->turnstile);
  return job->promise();
}

Napi::Value step_head(const Napi::CallbackInfo& info) {
  auto entry = unwrap_model(info[0]);
  const std::string name = string(info[1], "name");
  const AdamwOptions options = read_adamw(info[2]);
  auto job = Job::start(
      info.Env(),
      [entry, name, options](Job&) -> Job::Result {
        const double norm = entry->model->step_head(name, options);
        return [norm](Napi::Env env) -> Napi::Value { return Napi::Number::New(env, norm); };
      },
      entry->turnstile);
  return job->promise();
}

Napi::Value blend_head(const Napi::CallbackInfo& info) {
  auto entry = unwrap_model(info[0]);
  const std::string target = string(info[1], "target"), source = string(info[2], "source");
  const double rate = number(info[3], "rate");
  auto job = Job::start(
      info.Env(),
      [entry, target, source, rate](Job&) -> Job::Result {
        entry->model->blend_head(target, source, rate);
        return {};
      },
      entry->turnstile);
  return job->promise();
}

// saveHeads(model, file): the values of every head.
Napi::Value save_heads(const Napi::CallbackInfo& info) {
  auto entry = unwrap_model(info[0]);
  const std::string file = string(info[1], "file");
  auto job = Job::start(
      info.Env(),
      [entry, file](Job&) -> Job::Result {
        std::vector<TensorToWrite> tensors;
        for (const Parameter& parameter : entry->model->head_parameters())
          tensors.push_back(plain_tensor(parameter.name, parameter.shape, parameter.value));
        write_safetensors(file, tensors);
        return {};
      },
      entry->turnstile);
  return job->promise();
}

// loadHeads(model, file): the values of every head that the model has; all or, where one does not fit, none.
Napi::Value load_heads(const Napi::CallbackInfo& info) {
  auto entry = unwrap_model(info[0]);
  const std::string file = string(info[1], "file");
  auto job = Job::start(
      info.Env(),
      [entry, file](Job&) -> Job::Result {
        std::unique_ptr<TensorSource> source = open_safetensors(file);
        std::vector<std::pair<const StoredTensor*, float*>> reads;
        for (const Parameter& parameter : entry->model->head_parameters()) {
          const StoredTensor* tensor = source->find(parameter.name);
          if (!tensor || tensor->shape != parameter.shape)
            throw Error("MODEL_INVALID", file + ": the tensor " + parameter.name +
                                             (tensor ? " has another shape" : " is missing") +
                                             "; these heads belong to another model");
          reads.emplace_back(tensor, parameter.value);
        }
        for (const auto& [tensor, target] : reads) read_all(*tensor, target);
        entry->model->parameters_changed();
        return {};
      },
      entry->turnstile);
  return job->promise();
}

}  // namespace

void export_heads(Napi::Env env, Napi::Object exports) {
  export_function(env, exports, "addHead", add_head);
  export_function(env, exports, "stepHead", step_head);
  export_function(env, exports, "blendHead", blend_head);
  export_function(env, exports, "saveHeads", save_heads);
  export_function(env, exports, "loadHeads", load_heads);
}

}  // namespace adjudge
