#pragma once

#include "rules/preference.h"

// The preference losses in f64, one completion and one pair after the other.
namespace adjudge::reference {

// As rl/preference_loss.h.
rl::PreferenceValue preference_loss(const rl::PreferenceRule& rule, const rl::PreferenceBatch<double>& batch,
                                    double* gradients);

}  // namespace adjudge::reference
