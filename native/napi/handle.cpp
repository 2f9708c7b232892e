#include "handle.h"

#include <utility>

namespace adjudge {

namespace {

constexpr napi_type_tag model_tag{0x6164'6a75'6467'6501ULL, 0x9b1d'5c07'2e44'4f6dULL};

struct Handle {
  std::shared_ptr<ModelEntry> entry;
  int64_t reported = 0;

  void release(Napi::Env env) {
    if (!entry) return;
    entry.reset();
    Napi::MemoryManagement::AdjustExternalMemory(env, -reported);
    reported = 0;
  }
};

Handle* handle_of(const Napi::Value& value) {
  bool ours = false;
  if (value.IsObject()) napi_check_object_type_tag(value.Env(), value, &model_tag, &ours);
  void* data = nullptr;
  if (!ours || napi_unwrap(value.Env(), value, &data) != napi_ok) {
    throw Error("ARGUMENT_INVALID", "model: expected a model that load() gave");
  }
  return static_cast<Handle*>(data);
}

}  // namespace

Napi::Object wrap_model(Napi::Env env, std::shared_ptr<ModelEntry> entry) {
  Napi::Object object = Napi::Object::New(env);
  auto* handle = new Handle{std::move(entry), 0};
  handle->reported = static_cast<int64_t>(handle->entry->model->bytes());
  auto finalize = [](napi_env closing, void* data, void*) {
    auto* owned = static_cast<Handle*>(data);
    owned->release(closing);
    delete owned;
  };
  if (napi_wrap(env, object, handle, finalize, nullptr, nullptr) != napi_ok ||
      napi_type_tag_object(env, object, &model_tag) != napi_ok) {
    throw Error("INTERNAL", "The model's handle cannot be made");
  }
  Napi::MemoryManagement::AdjustExternalMemory(env, handle->reported);
  return object;
}

std::shared_ptr<ModelEntry> unwrap_model(const Napi::Value& value) {
  Handle* handle = handle_of(value);
  if (!handle->entry) throw Error("DISPOSED", "The model was disposed and cannot be used any more");
  return handle->entry;
}

void dispose_model(const Napi::Value& value) { handle_of(value)->release(value.Env()); }

}  // namespace adjudge
