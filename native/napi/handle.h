// What a JavaScript model handle holds: a type-tagged object, disposed by hand or by the garbage collector.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>

#include "../model/model.h"
#include "arguments.h"
#include "jobs.h"

namespace adjudge {

struct ModelEntry {
  std::unique_ptr<Model> model;
  std::optional<LoraOptions> lora;
  // Jobs on one model run one after the other, in the order they were asked for.
  std::shared_ptr<Turnstile> turnstile = std::make_shared<Turnstile>();
};

// Wraps a model and reports its size to the garbage collector.
Napi::Object wrap_model(Napi::Env env, std::shared_ptr<ModelEntry> entry);
// The model of a handle. Throws ARGUMENT_INVALID (no handle of ours) or DISPOSED.
std::shared_ptr<ModelEntry> unwrap_model(const Napi::Value& value);
// A prefix that prefill() made, as an opaque object of its size.
Napi::Object wrap_prefix(Napi::Env env, std::shared_ptr<const Prefix> prefix);
// Null where the value is undefined. Throws ARGUMENT_INVALID (no prefix of ours).
std::shared_ptr<const Prefix> unwrap_prefix(const Napi::Value& value);
// Gives the model up: running jobs keep it until they end. A second call does nothing.
void dispose_model(const Napi::Value& value);

void export_model(Napi::Env env, Napi::Object exports);
void export_generate(Napi::Env env, Napi::Object exports);
void export_parameters(Napi::Env env, Napi::Object exports);
void export_files(Napi::Env env, Napi::Object exports);
void export_heads(Napi::Env env, Napi::Object exports);
void export_device(Napi::Env env, Napi::Object exports);

// Exports a function under a name, with its errors turned into JavaScript errors.
template <class Body>
void export_function(Napi::Env env, Napi::Object exports, const char* name, Body body) {
  exports.Set(name, Napi::Function::New(
                        env,
                        [body](const Napi::CallbackInfo& info) -> Napi::Value {
                          return guarded(info.Env(), [&]() -> Napi::Value { return body(info); });
                        },
                        name));
}

}  // namespace adjudge
