// Any bytes must be read or refused with an Error. Built with libFuzzer, or driven by io_fuzz_test.cpp.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "io/safetensors.h"

#ifndef ADJUDGE_FUZZ_ENTRY
#define ADJUDGE_FUZZ_ENTRY extern "C" int LLVMFuzzerTestOneInput
#define ADJUDGE_FUZZ_REFUSED 0  // libFuzzer keeps inputs only where the entry returns 0
#endif

ADJUDGE_FUZZ_ENTRY(const uint8_t* data, size_t size) {
  using namespace adjudge;
  try {
    const auto source = parse_safetensors({reinterpret_cast<const std::byte*>(data), size}, "fuzz");
    for (const std::string& name : source->names()) {
      const StoredTensor& tensor = *source->find(name);
      std::vector<float> values(static_cast<size_t>(element_count(tensor)));
      read_all(tensor, values.data());
    }
  } catch (const Error&) {
    return ADJUDGE_FUZZ_REFUSED;
  }
  return 0;
}
