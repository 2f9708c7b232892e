// What the addon can compute on, for JavaScript.
#include "../device/cuda.h"

#include "handle.h"

namespace adjudge {
namespace {

Napi::Value cuda_state(const Napi::CallbackInfo& info) {
  const device::Cuda& cuda = device::cuda();
  Napi::Object out = Napi::Object::New(info.Env());
  out.Set("usable", cuda.usable);
  out.Set("hostShim", cuda.host_shim);
  out.Set("reason", cuda.reason);
  out.Set("library", cuda.path);
  out.Set("build", cuda.build);
  out.Set("driver", cuda.driver_version > 0 ? device::version_text(cuda.driver_version) : "");
  out.Set("name", cuda.description.name);
  out.Set("capability",
          std::to_string(cuda.description.major) + "." + std::to_string(cuda.description.minor));
  out.Set("bytes", static_cast<double>(cuda.description.memory_bytes));
  return out;
}

}  // namespace

void export_device(Napi::Env env, Napi::Object exports) {
  export_function(env, exports, "cudaState", cuda_state);
}

}  // namespace adjudge
