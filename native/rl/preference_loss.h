#pragma once

#include "rules/preference.h"

// The preference losses with their derivative for every log-prob or score. f32 arrays take the vector kernels
// of cpu/preference_loss.h, f64 arrays the body of reference/preference_loss.h.
namespace adjudge::rl {

// gradients: as log_probs, written everywhere. Throws Error ARGUMENT_INVALID: orpo at a probability of 1.
template <typename Float>
PreferenceValue preference_loss(const PreferenceRule& rule, const PreferenceBatch<Float>& batch,
                                Float* gradients);

}  // namespace adjudge::rl
