#include "handle.h"

#include <utility>

namespace adjudge {

namespace {

constexpr napi_type_tag model_tag{0x6164'6a75'6467'6501ULL, 0x9b1d'5c07'2e44'4f6dULL};
constexpr napi_type_tag prefix_tag{0x6164'6a75'6467'6502ULL, 0x5f0c'91e3'77ad'4b12ULL};

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

Napi::Object wrap_prefix(Napi::Env env, std::shared_ptr<const Prefix> prefix) {
  using Held = std::shared_ptr<const Prefix>;
  Napi::Object object = Napi::Object::New(env);
  const auto bytes = static_cast<int64_t>(prefix->bytes());
  auto held = std::make_unique<Held>(std::move(prefix));
  auto finalize = [](napi_env closing, void* data, void*) {
    const std::unique_ptr<Held> owned(static_cast<Held*>(data));
    Napi::MemoryManagement::AdjustExternalMemory(closing, -static_cast<int64_t>((*owned)->bytes()));
  };
  if (napi_wrap(env, object, held.get(), finalize, nullptr, nullptr) != napi_ok) {
    throw Error("INTERNAL", "The prefix's handle cannot be made");
  }
  held.release();
  Napi::MemoryManagement::AdjustExternalMemory(env, bytes);
  if (napi_type_tag_object(env, object, &prefix_tag) != napi_ok) {
    throw Error("INTERNAL", "The prefix's handle cannot be made");
  }
  return object;
}

std::shared_ptr<const Prefix> unwrap_prefix(const Napi::Value& value) {
  if (value.IsUndefined()) return nullptr;
  bool ours = false;
  if (value.IsObject()) napi_check_object_type_tag(value.Env(), value, &prefix_tag, &ours);
  void* data = nullptr;
  if (!ours || napi_unwrap(value.Env(), value, &data) != napi_ok) {
    throw Error("ARGUMENT_INVALID", "prefix: expected what prefix() gave");
  }
  return *static_cast<std::shared_ptr<const Prefix>*>(data);
}

void dispose_model(const Napi::Value& value) { handle_of(value)->release(value.Env()); }

}  // namespace adjudge
