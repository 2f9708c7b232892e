// Exports parameters, readParameter, writeParameters, stepCount, setStepCount.
#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "../model/model.h"
#include "handle.h"

namespace adjudge {

namespace {

using namespace arguments;

float* part_of(Parameter& parameter, const std::string& part) {
  float* data = nullptr;
  if (part == "value") {
    data = parameter.value;
  } else if (part == "gradient") {
    data = parameter.gradient;
  } else if (part == "firstMoment") {
    data = parameter.first_moment;
  } else if (part == "secondMoment") {
    data = parameter.second_moment;
  } else {
    refuse("part", "value, gradient, firstMoment or secondMoment");
  }
  if (!data)
    throw Error("ARGUMENT_INVALID", "The parameter " + parameter.name + " is frozen: it has no " + part);
  return data;
}

Parameter& named(Model& model, const std::string& name) {
  for (std::span<Parameter> all : {model.parameters(), model.head_parameters()})
    for (Parameter& parameter : all)
      if (parameter.name == name) return parameter;
  throw Error("ARGUMENT_INVALID", "The model has no parameter named " + name);
}

Napi::Value list(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto entry = unwrap_model(info[0]);
  Napi::Array result = Napi::Array::New(env);
  const auto add = [&](const Parameter& parameter) {
    Napi::Object item = Napi::Object::New(env);
    item.Set("name", parameter.name);
    Napi::Array shape = Napi::Array::New(env);
    for (size_t index = 0; index < parameter.shape.size(); ++index) {
      shape.Set(static_cast<uint32_t>(index), static_cast<double>(parameter.shape[index]));
    }
    item.Set("shape", shape);
    item.Set("trainable", parameter.gradient != nullptr);
    result.Set(result.Length(), item);
  };
  for (std::span<Parameter> all : {entry->model->parameters(), entry->model->head_parameters()})
    for (const Parameter& parameter : all) add(parameter);
  return result;
}

// readParameter(model, name, part) -> Promise<Float32Array>, a copy.
Napi::Value read(const Napi::CallbackInfo& info) {
  auto entry = unwrap_model(info[0]);
  std::string name = string(info[1], "name"), part = string(info[2], "part");
  auto job = Job::start(
      info.Env(),
      [entry, name, part](Job&) -> Job::Result {
        Parameter& parameter = named(*entry->model, name);
        const float* data = part_of(parameter, part);
        auto out = std::make_shared<std::vector<float>>(data, data + parameter.elements);
        return [out](Napi::Env env) -> Napi::Value { return adopt(env, std::move(*out)); };
      },
      entry->turnstile);
  return job->promise();
}

struct Write {
  std::string name, part;
  std::vector<float> data;
};

// writeParameters(model, [{ name, part, data }]) -> Promise<void>; all of them or, where one does not fit,
// none.
Napi::Value write(const Napi::CallbackInfo& info) {
  auto entry = unwrap_model(info[0]);
  if (!info[1].IsArray()) refuse("writes", "an array");
  auto array = info[1].As<Napi::Array>();
  auto writes = std::make_shared<std::vector<Write>>();
  for (uint32_t index = 0; index < array.Length(); ++index) {
    Napi::Object item = object(array.Get(index), "writes");
    writes->push_back({string(item.Get("name"), "name"), string(item.Get("part"), "part"),
                       floats(item.Get("data"), "data")});
  }
  auto job = Job::start(
      info.Env(),
      [entry, writes](Job&) -> Job::Result {
        std::vector<float*> targets;
        bool values = false;
        for (const Write& write : *writes) {
          Parameter& parameter = named(*entry->model, write.name);
          targets.push_back(part_of(parameter, write.part));
          if (static_cast<int64_t>(write.data.size()) != parameter.elements) {
            throw Error("ARGUMENT_INVALID",
                        "The parameter " + write.name + " has " + std::to_string(parameter.elements) +
                            " elements, but the data has " + std::to_string(write.data.size()));
          }
          values = values || write.part == "value";
        }
        for (size_t index = 0; index < writes->size(); ++index) {
          std::copy((*writes)[index].data.begin(), (*writes)[index].data.end(), targets[index]);
        }
        if (values) entry->model->parameters_changed();
        return {};
      },
      entry->turnstile);
  return job->promise();
}

Napi::Value step_count(const Napi::CallbackInfo& info) {
  auto entry = unwrap_model(info[0]);
  auto job = Job::start(
      info.Env(),
      [entry](Job&) -> Job::Result {
        int64_t count = entry->model->step_count();
        return [count](Napi::Env env) -> Napi::Value {
          return Napi::Number::New(env, static_cast<double>(count));
        };
      },
      entry->turnstile);
  return job->promise();
}

Napi::Value set_step_count(const Napi::CallbackInfo& info) {
  auto entry = unwrap_model(info[0]);
  int64_t count = integer(info[1], "stepCount", 0, int64_t{1} << 53);
  auto job = Job::start(
      info.Env(),
      [entry, count](Job&) -> Job::Result {
        entry->model->set_step_count(count);
        return {};
      },
      entry->turnstile);
  return job->promise();
}

}  // namespace

void export_parameters(Napi::Env env, Napi::Object exports) {
  export_function(env, exports, "parameters", list);
  export_function(env, exports, "readParameter", read);
  export_function(env, exports, "writeParameters", write);
  export_function(env, exports, "stepCount", step_count);
  export_function(env, exports, "setStepCount", set_step_count);
}

}  // namespace adjudge
