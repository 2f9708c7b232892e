#include "native/core/cpu_features.h"

#include <cstdlib>
#include <string>

#include "native/core/error.h"

namespace adjudge {

bool supports(InstructionSet set) {
#if defined(__x86_64__)
  const bool avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  if (set == InstructionSet::avx2) return avx2;
  if (set == InstructionSet::avx512bf16)
    return supports(InstructionSet::avx512) && __builtin_cpu_supports("avx512bf16");
  if (set == InstructionSet::avx512) {
    return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  }
#endif
  return set == InstructionSet::portable;
}

const char* name_of(InstructionSet set) {
  switch (set) {
    case InstructionSet::avx512bf16:
      return "avx512bf16";
    case InstructionSet::avx512:
      return "avx512";
    case InstructionSet::avx2:
      return "avx2";
    case InstructionSet::portable:
      break;
  }
  return "portable";
}

static InstructionSet select() {
  constexpr InstructionSet widest_first[] = {InstructionSet::avx512bf16, InstructionSet::avx512,
                                             InstructionSet::avx2, InstructionSet::portable};
  const char* forced = std::getenv("ADJUDGE_ISA");
  for (const InstructionSet set : widest_first) {
    if (forced != nullptr && *forced != '\0') {
      if (std::string(forced) != name_of(set)) continue;
      if (supports(set)) return set;
      throw Error("CONFIG_INVALID",
                  std::string("ADJUDGE_ISA=") + forced +
                      ": this processor lacks that instruction set; unset the variable or name a "
                      "narrower one (avx512, avx2, portable)");
    }
    if (supports(set)) return set;
  }
  throw Error("CONFIG_INVALID",
              std::string("ADJUDGE_ISA=") + forced + ": expected avx512bf16, avx512, avx2 or portable");
}

InstructionSet selected_instruction_set() {
  static const InstructionSet selected = select();
  return selected;
}

}  // namespace adjudge
