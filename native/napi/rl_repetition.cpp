// Repeated n-grams of packed completions, for src/rl/rewardShaping.ts.
#include "../rl/repetition.h"

#include "rl_arguments.h"

namespace adjudge {

void register_rl_repetition(Napi::Env env, Napi::Object exports) {
  using namespace rl_arguments;
  set_function(env, exports, "rlRepeatedShare",
               [](Napi::Env call, const Napi::Object& rule, const Napi::Object& input) -> Napi::Value {
                 const double size = number(rule, "size", 3);
                 if (!(size >= 1)) invalid("size", "a whole number of at least 1");
                 const std::int32_t* cu_seqlens = nullptr;
                 const std::size_t rows = offsets(input, "cuSeqlens", cu_seqlens);
                 const auto* tokens =
                     required<std::int32_t>(input, "tokens", static_cast<std::size_t>(cu_seqlens[rows]));
                 return array_of<double>(
                     call, rl::repeated_share(tokens, cu_seqlens, rows, static_cast<std::size_t>(size)));
               });
}

}  // namespace adjudge
