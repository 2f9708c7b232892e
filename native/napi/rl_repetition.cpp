// Penalties for repeated n-grams of packed completions, for src/rl/repetition.ts.
#include "../rl/repetition.h"

#include "rl_call.h"

namespace adjudge {
namespace {

using namespace rl_arguments;

constexpr Signature repetition_signature("penalties", {"tokens", "cuSeqlens"}, {"penalties"});

struct RepetitionRule {
  std::size_t size;  // of an n-gram
  double factor;
};

RepetitionRule repetition_rule(const Napi::Object& from) {
  const double size = number(from, "size", 3);
  if (!(size >= 1)) invalid("size", "a whole number of at least 1");
  return {static_cast<std::size_t>(size), number(from, "factor", 1)};
}

template <typename Float>
void repetition_penalties(const RepetitionRule& rule, const Call& call) {
  constexpr const Signature& at = repetition_signature;
  const std::int32_t* cu_seqlens = nullptr;
  const std::size_t rows = call.offsets(at.at("cuSeqlens"), cu_seqlens);
  const auto* tokens =
      call.required<std::int32_t>(at.at("tokens"), static_cast<std::size_t>(cu_seqlens[rows]));
  auto* penalties = call.written<Float>(at.at("penalties"), rows);
  check_cancelled();
  for (const double share : rl::repeated_share(tokens, cu_seqlens, rows, rule.size)) {
    *penalties++ = static_cast<Float>(share == 0 ? 0 : -rule.factor * share);
  }
}

}  // namespace

void register_rl_repetition(Napi::Env env, Napi::Object exports) {
  export_rl_call(env, exports, "rlRepetitionPenalty", repetition_signature, 0, [](const Napi::Object& from) {
    return either_type([rule = repetition_rule(from)](const Call& call, double*, auto type) {
      repetition_penalties<decltype(type)>(rule, call);
    });
  });
}

}  // namespace adjudge
