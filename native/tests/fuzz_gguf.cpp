// Any bytes must be read or refused with an Error. Built with libFuzzer, or driven by io_fuzz_test.cpp.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "io/gguf.h"

#ifndef ADJUDGE_FUZZ_ENTRY
#define ADJUDGE_FUZZ_ENTRY extern "C" int LLVMFuzzerTestOneInput
#define ADJUDGE_FUZZ_REFUSED 0  // libFuzzer keeps inputs only where the entry returns 0
#endif

ADJUDGE_FUZZ_ENTRY(const uint8_t* data, size_t size) {
  using namespace adjudge;
  try {
    const GgufFile file({reinterpret_cast<const std::byte*>(data), size}, "fuzz");
    for (const std::string& name : file.names()) {
      const StoredTensor& tensor = *file.find(name);
      std::vector<float> values(static_cast<size_t>(element_count(tensor)));
      read_all(tensor, values.data());
    }
    parse_json(gguf_metadata_json(file), "metadata");
    parse_json(gguf_config_json(file), "config");
  } catch (const Error&) {
    return ADJUDGE_FUZZ_REFUSED;
  }
  return 0;
}
