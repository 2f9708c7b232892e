// Any bytes must be read or refused with an Error. Built with libFuzzer, or driven by io_fuzz_test.cpp.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "io/peft.h"

#ifndef ADJUDGE_FUZZ_ENTRY
#define ADJUDGE_FUZZ_ENTRY extern "C" int LLVMFuzzerTestOneInput
#define ADJUDGE_FUZZ_REFUSED 0  // libFuzzer keeps inputs only where the entry returns 0
#endif

ADJUDGE_FUZZ_ENTRY(const uint8_t* data, size_t size) {
  using namespace adjudge;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const AdapterConfig config = parse_adapter_config(text, "fuzz");
    is_target(config, "model.layers.0.self_attn.q_proj");
    adapter_scale(config, "model.layers.0.self_attn.q_proj");
    parse_adapter_config(adapter_config_json(config), "again");
  } catch (const Error&) {
    return ADJUDGE_FUZZ_REFUSED;
  }
  return 0;
}
