#include "rl/preference_loss.h"

#include "cpu/preference_loss.h"
#include "reference/preference_loss.h"

namespace adjudge::rl {

template <>
PreferenceValue preference_loss(const PreferenceRule& rule, const PreferenceBatch<double>& batch,
                                double* gradients) {
  return reference::preference_loss(rule, batch, gradients);
}

template <>
PreferenceValue preference_loss(const PreferenceRule& rule, const PreferenceBatch<float>& batch,
                                float* gradients) {
  return adjudge::preference_loss(rule, batch, gradients);
}

}  // namespace adjudge::rl
