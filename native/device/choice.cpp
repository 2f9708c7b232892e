#include "device/choice.h"

#include <charconv>
#include <cstdlib>
#include <cstring>

#include "core/error.h"
#include "device/cuda.h"

namespace adjudge::device {
namespace {

std::size_t least_bytes() {
  static const std::size_t bytes = [] {
    std::size_t value = automatic_bytes;
    const char* text = std::getenv("ADJUDGE_CUDA_AUTO_BYTES");
    if (text) std::from_chars(text, text + std::strlen(text), value);
    return value;
  }();
  return bytes;
}

thread_local Choice current = Choice::automatic;

}  // namespace

Choice chosen() { return current; }

ChoiceScope::ChoiceScope(Choice choice) : before_(current) { current = choice; }
ChoiceScope::~ChoiceScope() { current = before_; }

Choice choice_of(std::string_view word) {
  if (word == "auto") return Choice::automatic;
  if (word == "cpu") return Choice::cpu;
  if (word == "cuda") return Choice::cuda;
  throw Error("ARGUMENT_INVALID", "device: expected auto, cpu or cuda and got " + std::string(word));
}

bool runs_on_cuda(Choice choice, std::size_t bytes, bool single) {
  if (choice == Choice::cpu) return false;
  if (choice == Choice::automatic) {
    return single && bytes >= least_bytes() && cuda().usable && !cuda().host_shim;
  }
  if (!single) {
    throw Error("DEVICE_UNSUPPORTED",
                "device: the CUDA kernels take Float32Array and not Float64Array; give Float32Array, or "
                "device 'cpu' or 'auto'");
  }
  if (!cuda().usable) {
    throw Error("DEVICE_UNAVAILABLE",
                "device: CUDA cannot be used: " + cuda().reason + ". Or use device 'cpu' or 'auto'");
  }
  return true;
}

void refuse_without_kernel(Choice choice, const std::string& call) {
  if (choice != Choice::cuda) return;
  throw Error("DEVICE_UNSUPPORTED",
              "device: " + call + " has no CUDA kernel for this rule; use 'cpu' or 'auto'");
}

}  // namespace adjudge::device
