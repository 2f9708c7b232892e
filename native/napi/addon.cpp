// The addon's entry: src/binding/native.ts describes what it exports.
#include "handle.h"

namespace adjudge {

void register_rl(Napi::Env env, Napi::Object exports);
void register_rl_q(Napi::Env env, Napi::Object exports);
void register_rl_replay(Napi::Env env, Napi::Object exports);
void register_rl_advantages(Napi::Env env, Napi::Object exports);
void register_rl_returns(Napi::Env env, Napi::Object exports);
void register_rl_repetition(Napi::Env env, Napi::Object exports);
void register_rl_preference(Napi::Env env, Napi::Object exports);
void register_rl_kl(Napi::Env env, Napi::Object exports);
void register_rl_off_policy(Napi::Env env, Napi::Object exports);
void register_rl_value_loss(Napi::Env env, Napi::Object exports);
void register_rl_logits(Napi::Env env, Napi::Object exports);

namespace {

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  export_model(env, exports);
  export_generate(env, exports);
  export_parameters(env, exports);
  export_files(env, exports);
  export_device(env, exports);
  export_heads(env, exports);
  register_rl(env, exports);
  register_rl_q(env, exports);
  register_rl_replay(env, exports);
  register_rl_advantages(env, exports);
  register_rl_returns(env, exports);
  register_rl_repetition(env, exports);
  register_rl_preference(env, exports);
  register_rl_kl(env, exports);
  register_rl_off_policy(env, exports);
  register_rl_value_loss(env, exports);
  register_rl_logits(env, exports);
  return exports;
}

}  // namespace
}  // namespace adjudge

static Napi::Object initialize_addon(Napi::Env env, Napi::Object exports) {
  return adjudge::initialize(env, exports);
}

NODE_API_MODULE(adjudge, initialize_addon)
