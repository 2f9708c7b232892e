// The preference losses of f32 arrays, every kind and option, on all threads; the same bits whatever their
// number. All terms are in f64: the gradients are the rounded f64 ones.
#pragma once

#include "native/rules/preference.h"

namespace adjudge {

// As rl/preference_loss.h.
rl::PreferenceValue preference_loss(const rl::PreferenceRule& rule, const rl::PreferenceBatch<float>& batch,
                                    float* gradients);

}  // namespace adjudge
